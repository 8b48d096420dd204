//! Columns of numbers and texts as rows.

use divvy::model::{Dictionary, Flags, NONE_I16, NONE_I32, TripBatch};
use divvy::varint::unzigzag;

use super::byte_planes::Reader;
use super::predictors::{LastValuePredictor, LinearPredictor};
use super::{BlockError, HEX_FORMS, ID_FORM_DECIMAL, ID_FORM_TEXT, Rows, TIME_UNITS_MS, elapsed_s};

/// Reads the columns of a block.
pub(super) fn read(raw: &[u8]) -> Result<Rows, BlockError> {
    let mut reader = Reader::new(raw)?;
    let rows = reader.length()?;
    let mut batch = TripBatch::default();
    let ids = read_ids(&mut reader, rows, &mut batch)?;
    let member = reader.numbers(rows)?;
    let member = narrow(member, |value| value.try_into().ok(), "a member")?;
    let mut line = 0_u64;
    batch.line = reader.numbers(rows)?;
    for step in &mut batch.line {
        line = line.wrapping_add(unzigzag(*step) as u64);
        *step = line;
    }
    if let Some((slope, steps)) = ids {
        let mut predictor = LinearPredictor::new(slope);
        for (step, line) in steps.into_iter().zip(&batch.line) {
            let number = predictor.number(unzigzag(step), *line);
            push_decimal(&mut batch.id_bytes, number);
            batch.id_ends.push(end(&batch.id_bytes)?);
        }
    }
    read_times(&mut reader, rows, &mut batch)?;
    read_texts(&mut reader, &mut batch.stations)?;
    batch.origin = indexes(reader.numbers(rows)?, &batch.stations)?;
    batch.destination = indexes(reader.numbers(rows)?, &batch.stations)?;
    read_texts(&mut reader, &mut batch.vehicles)?;
    batch.vehicle = indexes(reader.numbers(rows)?, &batch.vehicles)?;
    read_combinations(&mut reader, rows, &mut batch)?;
    let first = reader.signed()?;
    batch.birth_year = narrow(
        reader.numbers(rows)?,
        |year| match year {
            0 => Some(NONE_I16),
            year => first
                .checked_add(i64::try_from(year - 1).ok()?)?
                .try_into()
                .ok(),
        },
        "a year of birth",
    )?;
    let stations = batch.stations.len();
    let mut degrees = |at: &[u32]| {
        let mut predictor = LastValuePredictor::new(stations);
        let mut station = at.iter();
        narrow(
            reader.numbers(rows)?,
            |code| predictor.degrees(*station.next()?, code),
            "a position",
        )
    };
    batch.from_latitude = degrees(&batch.origin)?;
    batch.from_longitude = degrees(&batch.origin)?;
    batch.to_latitude = degrees(&batch.destination)?;
    batch.to_longitude = degrees(&batch.destination)?;
    if !reader.is_at_end() {
        return Err(BlockError::Damaged("what is behind the columns"));
    }
    Ok(Rows { batch, member })
}

/// Reads ids. Returns the slope and the differences of decimal ids, which need the lines.
fn read_ids(
    reader: &mut Reader,
    rows: usize,
    batch: &mut TripBatch,
) -> Result<Option<(i64, Vec<u64>)>, BlockError> {
    batch.id_ends.reserve(rows);
    let form = u8::try_from(reader.count()?).unwrap_or(u8::MAX);
    let hex = HEX_FORMS.into_iter().find(|(hex, _)| *hex == form);
    match (form, hex) {
        (ID_FORM_DECIMAL, _) => return Ok(Some((reader.signed()?, reader.numbers(rows)?))),
        (_, Some((_, digits))) => {
            let length = usize::try_from(reader.count()?).unwrap_or(usize::MAX);
            let size = (length / 2).checked_mul(rows);
            let bytes = reader.bytes(size.ok_or(BlockError::Damaged("the ids"))?)?;
            if length % 2 == 1 || length == 0 {
                return Err(BlockError::Damaged("the ids"));
            }
            batch.id_bytes.reserve(2 * bytes.len());
            for id in bytes.chunks_exact(length / 2) {
                let pairs = id.iter().map(|byte| (byte >> 4, byte & 15));
                let pairs = pairs.map(|(a, b)| [digits[usize::from(a)], digits[usize::from(b)]]);
                batch.id_bytes.extend(pairs.flatten());
                batch.id_ends.push(end(&batch.id_bytes)?);
            }
        }
        (ID_FORM_TEXT, _) => {
            for length in reader.numbers(rows)? {
                let length = usize::try_from(length).unwrap_or(usize::MAX);
                let id = reader.bytes(length)?;
                std::str::from_utf8(id).map_err(|_| BlockError::Damaged("an id"))?;
                batch.id_bytes.extend_from_slice(id);
                batch.id_ends.push(end(&batch.id_bytes)?);
            }
        }
        _ => return Err(BlockError::Damaged("the form of ids")),
    }
    Ok(None)
}

fn end(bytes: &[u8]) -> Result<u32, BlockError> {
    u32::try_from(bytes.len()).map_err(|_| BlockError::Damaged("the ids"))
}

fn push_decimal(out: &mut Vec<u8>, mut number: u64) {
    let mut digits = [0; 20];
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            return out.extend_from_slice(&digits[at..]);
        }
    }
}

fn read_times(reader: &mut Reader, rows: usize, batch: &mut TripBatch) -> Result<(), BlockError> {
    let mut unit = || match i64::try_from(reader.count()?) {
        Ok(unit) if TIME_UNITS_MS.contains(&unit) => Ok(unit),
        _ => Err(BlockError::Damaged("a unit of time")),
    };
    let (started, length) = (unit()?, unit()?);
    let mut start = reader.signed()?;
    let steps = reader.numbers(rows)?;
    let starts = steps.into_iter().map(|step| {
        start = start.wrapping_add(unzigzag(step));
        start.wrapping_mul(started)
    });
    batch.started_ms = starts.collect();
    let lengths = reader.numbers(rows)?.into_iter();
    let lengths: Vec<i64> = lengths.map(|n| unzigzag(n).wrapping_mul(length)).collect();
    let ends = batch.started_ms.iter().zip(&lengths);
    batch.ended_ms = ends
        .map(|(start, length)| start.wrapping_add(*length))
        .collect();
    let signed = |value| i32::try_from(unzigzag(value)).ok();
    batch.started_offset_s = narrow(reader.numbers(rows)?, signed, "an offset")?;
    let offsets = reader.numbers(rows)?;
    let mut from = batch.started_offset_s.iter();
    batch.ended_offset_s = narrow(
        offsets.clone(),
        |offset| {
            let from = i64::from(*from.next()?);
            from.checked_add(unzigzag(offset))?.try_into().ok()
        },
        "an offset",
    )?;
    batch.precision_ms = narrow(reader.numbers(rows)?, signed, "a precision")?;
    let mut elapsed = lengths.iter().zip(&offsets);
    batch.reported_s = narrow(
        reader.numbers(rows)?,
        |difference| {
            let (length, offset) = elapsed.next()?;
            if difference == 0 {
                return Some(NONE_I32);
            }
            elapsed_s(*length, unzigzag(*offset))
                .checked_add(unzigzag(difference - 1))?
                .try_into()
                .ok()
        },
        "a duration",
    )?;
    Ok(())
}

fn read_combinations(
    reader: &mut Reader,
    rows: usize,
    batch: &mut TripBatch,
) -> Result<(), BlockError> {
    read_texts(reader, &mut batch.words)?;
    let combinations = reader.length()?;
    let mut column = || indexes(reader.numbers(combinations)?, &batch.words);
    let (bikes, riders, genders) = (column()?, column()?, column()?);
    let flags = narrow(
        reader.numbers(combinations)?,
        |bits| bits.try_into().ok(),
        "a flag",
    )?;
    let codes = reader.numbers(rows)?;
    if codes.iter().any(|code| *code >= combinations as u64) {
        return Err(BlockError::Damaged("a kind of trip"));
    }
    fn pick<T: Copy>(values: &[T], codes: &[u64]) -> Vec<T> {
        codes.iter().map(|code| values[*code as usize]).collect()
    }
    batch.bike = pick(&bikes, &codes);
    batch.rider = pick(&riders, &codes);
    batch.gender = pick(&genders, &codes);
    let flags = pick::<u16>(&flags, &codes);
    batch.flags = flags.into_iter().map(Flags::from_bits).collect();
    Ok(())
}

fn read_texts(reader: &mut Reader, into: &mut Dictionary) -> Result<(), BlockError> {
    reader.texts(|text| {
        into.push(text);
    })
}

/// Converts numbers to indexes in a dictionary.
fn indexes(values: Vec<u64>, dictionary: &Dictionary) -> Result<Vec<u32>, BlockError> {
    let known = |index| {
        u32::try_from(index)
            .ok()
            .filter(|index| (*index as usize) < dictionary.len())
    };
    narrow(values, known, "a place in a dictionary")
}

fn narrow<T>(
    values: Vec<u64>,
    narrow: impl FnMut(u64) -> Option<T>,
    what: &'static str,
) -> Result<Vec<T>, BlockError> {
    let narrowed: Option<Vec<T>> = values.into_iter().map(narrow).collect();
    narrowed.ok_or(BlockError::Damaged(what))
}
