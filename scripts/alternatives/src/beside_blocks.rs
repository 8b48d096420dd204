//! Blocks of the packed layout on DynamoDB beside Postcard and Zstandard of the same rows.

use divvy::model::{Dictionary, NONE_I16, NONE_I32, TripBatch};
use serde::{Deserialize, Serialize};

use crate::blocks::{self, Gatherer, MAX_BLOCK, Month, PACKED_LEVEL, Rows, TARGET_BLOCK};
use crate::measure::{RUNS, Table, cpu_ms, cpu_ms_of, from_postcard_zstd, postcard_zstd};

/// Bytes of an item beside its block: keys, counts, and the names of attributes.
const ITEM: usize = 100;

pub fn measure(batches: &[TripBatch]) -> crate::Result<()> {
    let mut gatherer = Gatherer::default();
    for batch in batches {
        gatherer.add(&Rows::of_member(batch.clone(), 0));
    }
    let rows = gatherer.into_rows();
    let columns = [
        "write units per 1,000 trips",
        "encode, ms",
        "decode all, ms",
    ];
    let mut table = Table::new("Blocks on DynamoDB", rows.len(), &columns);
    let mut row = |name: &str, blocks: &[Vec<u8>], encode: f64, decode: f64| {
        let units: usize = (blocks.iter())
            .map(|block| (block.len() + ITEM).div_ceil(1024))
            .sum();
        let units = units as f64 * 1000.0 / rows.len() as f64;
        let bytes = blocks.iter().map(Vec::len).sum();
        table.row(name, bytes, &[units, encode, decode]);
    };

    let pack = || {
        let mut all = Vec::new();
        blocks::pack(&rows, &mut |packed| all.push(packed.block));
        Ok(all)
    };
    let decode_ours = |blocks: &[Vec<u8>]| -> crate::Result<usize> {
        let mut n = 0;
        for block in blocks {
            n += blocks::decode(block)?.len();
        }
        Ok(n)
    };
    let ours = pack()?;
    let encode = cpu_ms_of(runs(PACKED_LEVEL), pack)?;
    assert_eq!(decode_ours(&ours)?, rows.len());
    row(
        "ours, zstd 19",
        &ours,
        encode,
        cpu_ms(|| decode_ours(&ours))?,
    );

    let encode_ours = |some: &[u32]| Ok(blocks::encode_some(&rows.batch, |_| 0, some, 3));
    let ours = pack_by(&rows, &encode_ours)?;
    let encode = cpu_ms(|| pack_by(&rows, &encode_ours))?;
    row(
        "ours, zstd 3",
        &ours,
        encode,
        cpu_ms(|| decode_ours(&ours))?,
    );

    for (name, differences, level) in [
        ("Postcard of columns, zstd 19", false, PACKED_LEVEL),
        ("the same, zstd 3", false, 3),
        ("Postcard of differences, zstd 19", true, PACKED_LEVEL),
        ("the same, zstd 3", true, 3),
    ] {
        let encode = |some: &[u32]| postcard_zstd(&Columns::of(&rows, some, differences), level);
        let blocks = pack_by(&rows, &encode)?;
        let decode = || -> crate::Result<usize> {
            let mut n = 0;
            for block in &blocks {
                let columns: Columns = from_postcard_zstd(block)?;
                n += columns.into_batch(differences).len();
            }
            Ok(n)
        };
        assert_eq!(decode()?, rows.len());
        let first: Columns = from_postcard_zstd(&blocks[0])?;
        let (first, ours) = (
            first.into_batch(differences),
            blocks::decode(&pack()?[0])?.batch,
        );
        let both = first.trips().zip(ours.trips());
        assert!(
            both.into_iter().all(|(a, b)| a == b),
            "both have the same trips"
        );
        let encode = cpu_ms_of(runs(level), || pack_by(&rows, &encode))?;
        row(name, &blocks, encode, cpu_ms(decode)?);
    }
    table.print();
    Ok(())
}

/// The highest levels take seconds.
fn runs(level: i32) -> usize {
    if level > 9 { RUNS.min(2) } else { RUNS }
}

/// Cuts rows as [`blocks::pack`] does: by origin and month, in the order of lines, into blocks of
/// about [`TARGET_BLOCK`] bytes.
fn pack_by(
    rows: &Rows,
    encode: &dyn Fn(&[u32]) -> crate::Result<Vec<u8>>,
) -> crate::Result<Vec<Vec<u8>>> {
    const PROBE: usize = 2048;
    let batch = &rows.batch;
    let mut ranks: Vec<u32> = (0..batch.stations.len() as u32).collect();
    ranks.sort_by_key(|index| (*index != 0, batch.stations.text(*index)));
    let mut rank_of = vec![0; ranks.len()];
    for (rank, index) in ranks.iter().enumerate() {
        rank_of[*index as usize] = rank;
    }
    let group = |row: u32| {
        let row = row as usize;
        let rank = rank_of[batch.origin[row] as usize];
        (rank, Month::of(batch.started_ms[row]))
    };
    let mut order: Vec<u32> = (0..rows.len() as u32).collect();
    order.sort_unstable_by_key(|row| (group(*row), batch.line[*row as usize], *row));
    let mut all = Vec::new();
    for same in order.chunk_by(|a, b| group(*a) == group(*b)) {
        let probe = &same[..same.len().min(PROBE)];
        let first = encode(probe)?;
        let size = first.len() * same.len() / probe.len();
        if size <= TARGET_BLOCK && probe.len() == same.len() {
            all.push(first);
            continue;
        }
        let mut n = size.div_ceil(TARGET_BLOCK).clamp(1, same.len());
        loop {
            let chunks = same.chunks(same.len().div_ceil(n));
            let blocks = chunks.map(encode).collect::<crate::Result<Vec<_>>>()?;
            if blocks.iter().all(|block| block.len() <= MAX_BLOCK) {
                all.extend(blocks);
                break;
            }
            n += 1;
        }
    }
    Ok(all)
}

/// Rows as columns, with the texts that they use.
#[derive(Default, Serialize, Deserialize)]
struct Columns {
    /// Of ids, unless all are decimal numbers and these are `numbers`.
    id_bytes: Vec<u8>,
    id_lengths: Vec<u32>,
    numbers: Vec<i64>,
    member: Vec<u32>,
    line: Vec<i64>,
    started_ms: Vec<i64>,
    ended_ms: Vec<i64>,
    started_offset_s: Vec<i32>,
    ended_offset_s: Vec<i32>,
    precision_ms: Vec<i32>,
    reported_s: Vec<Option<i64>>,
    stations: Vec<String>,
    origin: Vec<u32>,
    destination: Vec<u32>,
    vehicles: Vec<String>,
    vehicle: Vec<u32>,
    words: Vec<String>,
    bike: Vec<u32>,
    rider: Vec<u32>,
    gender: Vec<u32>,
    birth_year: Vec<Option<i16>>,
    positions: [Vec<Option<i32>>; 4],
    flags: Vec<u16>,
}

/// Texts by the order in which rows use them.
struct Codes<'a> {
    dictionary: &'a Dictionary,
    codes: Vec<u32>,
    used: Vec<String>,
}

impl<'a> Codes<'a> {
    fn new(dictionary: &'a Dictionary) -> Self {
        Self {
            dictionary,
            codes: vec![0; dictionary.len()],
            used: Vec::new(),
        }
    }

    fn code(&mut self, index: u32) -> u32 {
        let code = &mut self.codes[index as usize];
        if index != 0 && *code == 0 {
            self.used.push(self.dictionary.text(index).into());
            *code = self.used.len() as u32;
        }
        *code
    }
}

/// Replaces numbers by the differences between neighbours.
fn to_differences(values: &mut [i64]) {
    let mut last = 0;
    for value in values {
        *value = value.wrapping_sub(std::mem::replace(&mut last, *value));
    }
}

fn from_differences(values: &mut [i64]) {
    let mut last = 0_i64;
    for value in values {
        last = last.wrapping_add(*value);
        *value = last;
    }
}

fn decimal(id: &[u8]) -> Option<i64> {
    let text = std::str::from_utf8(id).ok()?;
    let number: i64 = text.parse().ok()?;
    (number.to_string() == text).then_some(number)
}

impl Columns {
    fn of(rows: &Rows, some: &[u32], differences: bool) -> Self {
        let batch = &rows.batch;
        fn pick<T: Copy>(column: &[T], some: &[u32]) -> Vec<T> {
            some.iter().map(|row| column[*row as usize]).collect()
        }
        let optional = |column: &[i32]| -> Vec<Option<i32>> {
            let picked = pick(column, some).into_iter();
            picked
                .map(|value| (value != NONE_I32).then_some(value))
                .collect()
        };
        let mut stations = Codes::new(&batch.stations);
        let mut vehicles = Codes::new(&batch.vehicles);
        let mut words = Codes::new(&batch.words);
        let code = |codes: &mut Codes<'_>, column: &[u32]| -> Vec<u32> {
            some.iter()
                .map(|row| codes.code(column[*row as usize]))
                .collect()
        };
        let ids = || some.iter().map(|row| batch.id_raw(*row as usize));
        let years = pick(&batch.birth_year, some).into_iter();
        let mut columns = Self {
            member: pick(&rows.member, some),
            line: some
                .iter()
                .map(|row| batch.line[*row as usize] as i64)
                .collect(),
            started_ms: pick(&batch.started_ms, some),
            ended_ms: pick(&batch.ended_ms, some),
            started_offset_s: pick(&batch.started_offset_s, some),
            ended_offset_s: pick(&batch.ended_offset_s, some),
            precision_ms: pick(&batch.precision_ms, some),
            reported_s: optional(&batch.reported_s)
                .into_iter()
                .map(|value| value.map(i64::from))
                .collect(),
            origin: code(&mut stations, &batch.origin),
            destination: code(&mut stations, &batch.destination),
            stations: stations.used,
            vehicle: code(&mut vehicles, &batch.vehicle),
            vehicles: vehicles.used,
            bike: code(&mut words, &batch.bike),
            rider: code(&mut words, &batch.rider),
            gender: code(&mut words, &batch.gender),
            words: words.used,
            birth_year: years
                .map(|year| (year != NONE_I16).then_some(year))
                .collect(),
            positions: [
                optional(&batch.from_latitude),
                optional(&batch.from_longitude),
                optional(&batch.to_latitude),
                optional(&batch.to_longitude),
            ],
            flags: pick(&batch.flags, some)
                .iter()
                .map(|flags| flags.bits())
                .collect(),
            ..Self::default()
        };
        if differences && let Some(numbers) = ids().map(decimal).collect() {
            columns.numbers = numbers;
        } else {
            columns.id_bytes = ids().flatten().copied().collect();
            columns.id_lengths = ids().map(|id| id.len() as u32).collect();
        }
        if differences {
            columns.subtract();
        }
        columns
    }

    /// The simplest predictions: ends from starts, durations from these, all others from the row
    /// before.
    fn subtract(&mut self) {
        for row in 0..self.line.len() {
            let length = self.ended_ms[row].wrapping_sub(self.started_ms[row]);
            self.ended_ms[row] = length;
            if let Some(stated) = &mut self.reported_s[row] {
                *stated -= length.div_euclid(1000);
            }
        }
        to_differences(&mut self.numbers);
        to_differences(&mut self.line);
        to_differences(&mut self.started_ms);
        for column in &mut self.positions {
            let mut last = 0_i32;
            for value in column.iter_mut().flatten() {
                *value = value.wrapping_sub(std::mem::replace(&mut last, *value));
            }
        }
    }

    fn add_up(&mut self) {
        from_differences(&mut self.numbers);
        from_differences(&mut self.line);
        from_differences(&mut self.started_ms);
        for row in 0..self.line.len() {
            let length = self.ended_ms[row];
            self.ended_ms[row] = self.started_ms[row].wrapping_add(length);
            if let Some(stated) = &mut self.reported_s[row] {
                *stated += length.div_euclid(1000);
            }
        }
        for column in &mut self.positions {
            let mut last = 0_i32;
            for value in column.iter_mut().flatten() {
                last = last.wrapping_add(*value);
                *value = last;
            }
        }
    }

    fn into_batch(mut self, differences: bool) -> TripBatch {
        if differences {
            self.add_up();
        }
        for number in &self.numbers {
            let text = number.to_string();
            self.id_lengths.push(text.len() as u32);
            self.id_bytes.extend(text.as_bytes());
        }
        let dictionary = |texts: Vec<String>| {
            let mut dictionary = Dictionary::default();
            for text in texts {
                dictionary.push(&text);
            }
            dictionary
        };
        let optional = |column: Vec<Option<i32>>| -> Vec<i32> {
            column
                .into_iter()
                .map(|value| value.unwrap_or(NONE_I32))
                .collect()
        };
        let mut end = 0;
        let ends = self.id_lengths.iter().map(|length| {
            end += length;
            end
        });
        let [from_latitude, from_longitude, to_latitude, to_longitude] =
            self.positions.map(optional);
        TripBatch {
            id_ends: ends.collect(),
            id_bytes: self.id_bytes,
            line: self.line.into_iter().map(|line| line as u64).collect(),
            started_ms: self.started_ms,
            ended_ms: self.ended_ms,
            started_offset_s: self.started_offset_s,
            ended_offset_s: self.ended_offset_s,
            precision_ms: self.precision_ms,
            reported_s: (self.reported_s.into_iter())
                .map(|value| value.map_or(NONE_I32, |value| value as i32))
                .collect(),
            origin: self.origin,
            destination: self.destination,
            stations: dictionary(self.stations),
            vehicle: self.vehicle,
            vehicles: dictionary(self.vehicles),
            bike: self.bike,
            rider: self.rider,
            gender: self.gender,
            words: dictionary(self.words),
            birth_year: (self.birth_year.into_iter())
                .map(|year| year.unwrap_or(NONE_I16))
                .collect(),
            from_latitude,
            from_longitude,
            to_latitude,
            to_longitude,
            flags: (self.flags.into_iter())
                .map(divvy::model::Flags::from_bits)
                .collect(),
            names: Vec::new(),
        }
    }
}
