//! Rows as columns of numbers and texts.

use std::collections::HashMap;

use divvy::model::{Dictionary, NONE_I16, NONE_I32, TripBatch};
use divvy::varint::zigzag;

use super::byte_planes::{Writer, decimal};
use super::predictors::{LastValuePredictor, LinearPredictor, SLOPE_BITS};
use super::{HEX_FORMS, ID_FORM_DECIMAL, ID_FORM_TEXT, TIME_UNITS_MS, elapsed_s};

/// Writes the columns of some rows of a batch.
pub(super) struct Columns<'a> {
    batch: &'a TripBatch,
    rows: &'a [u32],
    writer: Writer,
    /// The values of the column that is being written.
    scratch: Vec<u64>,
}

impl<'a> Columns<'a> {
    pub(super) fn new(batch: &'a TripBatch, rows: &'a [u32]) -> Self {
        Self {
            batch,
            rows,
            writer: Writer::default(),
            scratch: Vec::with_capacity(rows.len()),
        }
    }

    /// Writes all columns. `member` returns the member of a row.
    pub(super) fn write(mut self, member: impl Fn(usize) -> u32) -> Writer {
        let batch = self.batch;
        self.writer.count(self.rows.len() as u64);
        self.ids();
        self.column(|row| u64::from(member(row)));
        let mut previous_line = 0;
        self.column(|row| {
            let line = batch.line[row];
            let step = line.wrapping_sub(std::mem::replace(&mut previous_line, line));
            zigzag(step as i64)
        });
        self.times();
        let (texts, station) = in_use(
            &batch.stations,
            self.rows,
            &[&batch.origin, &batch.destination],
        );
        self.writer.texts(&texts);
        self.column(|row| u64::from(station[batch.origin[row] as usize]));
        self.column(|row| u64::from(station[batch.destination[row] as usize]));
        let (texts, vehicle) = in_use(&batch.vehicles, self.rows, &[&batch.vehicle]);
        self.writer.texts(&texts);
        self.column(|row| u64::from(vehicle[batch.vehicle[row] as usize]));
        self.combinations();
        self.birth_years();
        for (latitude, longitude, at) in [
            (&batch.from_latitude, &batch.from_longitude, &batch.origin),
            (&batch.to_latitude, &batch.to_longitude, &batch.destination),
        ] {
            for degrees in [latitude, longitude] {
                let mut predictor = LastValuePredictor::new(batch.stations.len());
                self.column(|row| predictor.difference(at[row], degrees[row]));
            }
        }
        self.writer
    }

    fn column(&mut self, mut value: impl FnMut(usize) -> u64) {
        self.scratch.clear();
        let values = self.rows.iter().map(|row| value(*row as usize));
        self.scratch.extend(values);
        self.writer.numbers(&self.scratch, 0);
    }

    fn ids(&mut self) {
        let (batch, rows) = (self.batch, self.rows);
        let ids = || rows.iter().map(|row| batch.id_raw(*row as usize));
        let numbers: Option<Vec<u64>> = ids().map(decimal).collect();
        if let Some(numbers) = numbers {
            self.writer.count(u64::from(ID_FORM_DECIMAL));
            return self.decimal_ids(&numbers);
        }
        let length = ids().next().map_or(0, <[u8]>::len);
        let same_length = length > 0 && length % 2 == 0 && ids().all(|id| id.len() == length);
        for (form, digits) in HEX_FORMS {
            if !same_length {
                break;
            }
            let mut values = [u8::MAX; 256];
            for (value, digit) in digits.iter().enumerate() {
                values[usize::from(*digit)] = value as u8;
            }
            let mut bytes = Vec::with_capacity(rows.len() * length / 2);
            let all = ids().all(|id| {
                id.chunks_exact(2).all(|pair| {
                    let pair = (values[usize::from(pair[0])], values[usize::from(pair[1])]);
                    bytes.push(pair.0 << 4 | pair.1 & 15);
                    pair.0 < 16 && pair.1 < 16
                })
            });
            if all {
                self.writer.count(u64::from(form));
                self.writer.count(length as u64);
                return self.writer.bytes(&bytes);
            }
        }
        self.writer.count(u64::from(ID_FORM_TEXT));
        let lengths: Vec<u64> = ids().map(|id| id.len() as u64).collect();
        self.writer.numbers(&lengths, 1);
        let bytes: Vec<u8> = ids().flatten().copied().collect();
        self.writer.bytes(&bytes);
    }

    /// Writes numeric ids, which usually rise or fall with the lines of their file: the differences
    /// from a straight line through the first and the last.
    fn decimal_ids(&mut self, numbers: &[u64]) {
        let line = |row: u32| self.batch.line[row as usize];
        let (ids, lines) = match (numbers, self.rows) {
            ([first, .., last], [top, .., bottom]) => (
                i128::from(*last) - i128::from(*first),
                i128::from(line(*bottom)) - i128::from(line(*top)),
            ),
            _ => (0, 0),
        };
        let slope = match lines {
            0 => 0,
            lines => i64::try_from((ids << SLOPE_BITS) / lines).unwrap_or(0),
        };
        let mut predictor = LinearPredictor::new(slope);
        let steps: Vec<u64> = numbers
            .iter()
            .zip(self.rows)
            .map(|(number, row)| zigzag(predictor.difference(*number, line(*row))))
            .collect();
        self.writer.signed(slope);
        self.writer.numbers(&steps, 1);
    }

    fn times(&mut self) {
        let batch = self.batch;
        let unit = |of: &dyn Fn(usize) -> i64| {
            TIME_UNITS_MS
                .into_iter()
                .find(|unit| self.rows.iter().all(|row| of(*row as usize) % unit == 0))
                .expect("1 divides every number")
        };
        let started = unit(&|row| batch.started_ms[row]);
        let length = unit(&|row| batch.ended_ms[row].wrapping_sub(batch.started_ms[row]));
        let first = self
            .rows
            .first()
            .map_or(0, |row| batch.started_ms[*row as usize] / started);
        self.writer.count(started as u64);
        self.writer.count(length as u64);
        self.writer.signed(first);
        let mut previous = first;
        self.column(|row| {
            let start = batch.started_ms[row] / started;
            zigzag(start.wrapping_sub(std::mem::replace(&mut previous, start)))
        });
        self.column(|row| zigzag(batch.ended_ms[row].wrapping_sub(batch.started_ms[row]) / length));
        self.column(|row| zigzag(batch.started_offset_s[row].into()));
        self.column(|row| {
            zigzag(i64::from(batch.ended_offset_s[row]) - i64::from(batch.started_offset_s[row]))
        });
        self.column(|row| zigzag(batch.precision_ms[row].into()));
        self.column(|row| match batch.reported_s[row] {
            NONE_I32 => 0,
            reported => {
                let length = batch.ended_ms[row].wrapping_sub(batch.started_ms[row]);
                let offsets =
                    i64::from(batch.ended_offset_s[row]) - i64::from(batch.started_offset_s[row]);
                zigzag(i64::from(reported) - elapsed_s(length, offsets)) + 1
            }
        });
    }

    /// Writes bike, rider, gender and flags: the combinations, which are few, and the code of each
    /// row's.
    fn combinations(&mut self) {
        let batch = self.batch;
        let combination_of = |row: u32| {
            let row = row as usize;
            (
                batch.bike[row],
                batch.rider[row],
                batch.gender[row],
                batch.flags[row].bits(),
            )
        };
        let mut codes: HashMap<_, u64> = HashMap::new();
        let mut combinations = Vec::new();
        let mut last = None;
        self.scratch.clear();
        for row in self.rows {
            let combination = combination_of(*row);
            let code = match last {
                Some((same, code)) if same == combination => code,
                _ => *codes.entry(combination).or_insert_with(|| {
                    combinations.push(combination);
                    combinations.len() as u64 - 1
                }),
            };
            last = Some((combination, code));
            self.scratch.push(code);
        }
        let mut text_codes: HashMap<u32, u64> = HashMap::from([(0, 0)]);
        let mut texts = Vec::new();
        let mut columns: [Vec<u64>; 4] = Default::default();
        for (bike, rider, gender, flags) in &combinations {
            for (word, column) in [bike, rider, gender].into_iter().zip(&mut columns) {
                column.push(*text_codes.entry(*word).or_insert_with(|| {
                    texts.push(batch.words.text(*word));
                    texts.len() as u64
                }));
            }
            columns[3].push(u64::from(*flags));
        }
        self.writer.texts(&texts);
        self.writer.count(combinations.len() as u64);
        for column in &columns {
            self.writer.numbers(column, 1);
        }
        self.writer.numbers(&self.scratch, 0);
    }

    fn birth_years(&mut self) {
        let years = &self.batch.birth_year;
        let stated = self.rows.iter().map(|row| years[*row as usize]);
        let first = stated.filter(|year| *year != NONE_I16).min().unwrap_or(0);
        self.writer.signed(first.into());
        self.column(|row| match years[row] {
            NONE_I16 => 0,
            year => (i64::from(year) - i64::from(first)) as u64 + 1,
        });
    }
}

/// Lists the texts that rows use, shorter ones first, and the code of each index in the
/// dictionary: 0 for no text, 1 for the first text.
fn in_use<'a>(
    dictionary: &'a Dictionary,
    rows: &[u32],
    columns: &[&Vec<u32>],
) -> (Vec<&'a str>, Vec<u32>) {
    let mut codes = vec![0; dictionary.len()];
    for column in columns {
        for row in rows {
            codes[column[*row as usize] as usize] = 1;
        }
    }
    let mut used: Vec<usize> = (1..codes.len())
        .filter(|index| codes[*index] == 1)
        .collect();
    let text = |index: &usize| dictionary.text(*index as u32);
    // So that decimals are in the order of their numbers.
    used.sort_by_key(|index| (text(index).len(), text(index)));
    codes[0] = 0;
    for (smaller, index) in used.iter().enumerate() {
        codes[*index] = smaller as u32 + 1;
    }
    (used.iter().map(text).collect(), codes)
}
