//! Parsing of single cells: ids, durations, years, coordinates.

use std::borrow::Cow;

use crate::issue::Reason;
use crate::model::{MAX_STATION_ID_BYTES, NONE_I16};

/// A cell that makes its row invalid.
#[derive(Debug)]
pub(super) struct InvalidCell {
    pub(super) reason: Reason,
    /// What a valid cell looks like.
    pub(super) expected: &'static str,
}

/// Returns a cell, or an empty one for a word that programs write for "no value".
#[inline(always)]
pub(super) fn null_as_empty(cell: Cow<'_, [u8]>) -> Cow<'_, [u8]> {
    match cell.first() {
        Some(b'N' | b'n' | b'\\') if is_null(&cell) => Cow::Borrowed(b""),
        _ => cell,
    }
}

#[cold]
fn is_null(cell: &[u8]) -> bool {
    matches!(
        cell,
        b"NULL" | b"null" | b"\\N" | b"NA" | b"NaN" | b"nan" | b"None"
    )
}

/// Returns `86` for `86.0`: a whole number that a program has read as a float.
#[inline]
pub(super) fn without_point_zero(id: &[u8]) -> &[u8] {
    match id {
        [digits @ .., b'.', b'0'] if digits.iter().all(u8::is_ascii_digit) => digits,
        _ => id,
    }
}

/// Reads a trip id of 16 hexadecimal digits.
pub(super) fn hex_id(cell: Cow<'_, [u8]>) -> Result<Cow<'_, [u8]>, InvalidCell> {
    let invalid = |reason| InvalidCell {
        reason,
        expected: "16 hexadecimal digits",
    };
    let cell = null_as_empty(cell);
    if cell.is_empty() {
        return Err(invalid(Reason::NoId));
    }
    if cell.len() == 16 && cell.iter().all(u8::is_ascii_hexdigit) {
        return Ok(cell);
    }
    Err(invalid(Reason::DamagedId))
}

/// Reads a trip id that is a whole number, perhaps with thousands commas or `.0` at its end.
pub(super) fn digits_id(cell: Cow<'_, [u8]>) -> Result<Cow<'_, [u8]>, InvalidCell> {
    let invalid = |reason| InvalidCell {
        reason,
        expected: "a whole number",
    };
    let cell = null_as_empty(cell);
    let is_whole = |id: &[u8]| !id.is_empty() && id.len() < 20 && id.iter().all(u8::is_ascii_digit);
    if is_whole(&cell) {
        return Ok(cell);
    }
    if cell.is_empty() {
        return Err(invalid(Reason::NoId));
    }
    let digits: Vec<u8> = cell.iter().copied().filter(|b| *b != b',').collect();
    let digits = without_point_zero(&digits).to_vec();
    if is_whole(&digits) {
        return Ok(Cow::Owned(digits));
    }
    Err(invalid(Reason::DamagedId))
}

/// Reads a trip id that may be any text in one line.
pub(super) fn text_id(cell: Cow<'_, [u8]>) -> Result<Cow<'_, [u8]>, InvalidCell> {
    let cell = null_as_empty(cell);
    if cell.is_empty() {
        return Err(InvalidCell {
            reason: Reason::NoId,
            expected: "an id",
        });
    }
    if cell.len() > MAX_STATION_ID_BYTES || cell.iter().any(u8::is_ascii_control) {
        return Err(InvalidCell {
            reason: Reason::DamagedId,
            expected: "an id in one line",
        });
    }
    Ok(cell)
}

/// Returns `1108` for `001108`: a number that is filled up with zeros.
pub(super) fn without_padding(id: &[u8]) -> &[u8] {
    let zeros = id.iter().take_while(|byte| **byte == b'0').count();
    let digits = &id[zeros.min(id.len().saturating_sub(1))..];
    if digits.iter().all(u8::is_ascii_digit) {
        digits
    } else {
        id
    }
}

/// Splits `Marble & U St NW (31111)` into name and number. `None` for a name without a number.
pub(super) fn name_and_number(name: &[u8]) -> Option<(&[u8], &[u8])> {
    let inside = name.trim_ascii().strip_suffix(b")")?;
    let open = inside.iter().rposition(|byte| *byte == b'(')?;
    let number = inside[open + 1..].trim_ascii();
    let is_number = !number.is_empty() && number.iter().all(u8::is_ascii_digit);
    is_number.then(|| (inside[..open].trim_ascii(), number))
}

/// The values that identify a trip of a file without trip ids.
pub(super) struct DerivedId<'a> {
    pub(super) system: &'a str,
    pub(super) vehicle: &'a [u8],
    pub(super) origin: &'a str,
    pub(super) destination: &'a str,
    pub(super) started_ms: i64,
    pub(super) ended_ms: i64,
}

impl DerivedId<'_> {
    /// Returns the id: 64 bits of XXH3 as 16 lower-case hexadecimal digits. Stores keep these ids, so
    /// the hash may not change.
    pub(super) fn digits(&self) -> [u8; 16] {
        let mut hash = xxhash_rust::xxh3::Xxh3Default::new();
        for text in [
            self.system.as_bytes(),
            self.vehicle,
            self.origin.as_bytes(),
            self.destination.as_bytes(),
        ] {
            hash.update(text);
            hash.update(&[0]);
        }
        hash.update(&self.started_ms.to_le_bytes());
        hash.update(&self.ended_ms.to_le_bytes());
        let hash = hash.digest();
        let mut digits = [0; 16];
        for (index, digit) in digits.iter_mut().enumerate() {
            *digit = b"0123456789abcdef"[(hash >> (60 - 4 * index) & 15) as usize];
        }
        digits
    }
}

/// Reads a duration in seconds: `316`, `390.0`, `1,048.0`, `390,5`, and those with their units
/// ([`spelled_seconds`]). `None` for any other text.
#[inline]
pub(super) fn seconds(cell: &[u8], per_second: f64) -> Option<i32> {
    if per_second == 1.0
        && !cell.is_empty()
        && cell.len() < 10
        && cell.iter().all(u8::is_ascii_digit)
    {
        return Some(
            cell.iter()
                .fold(0, |n, digit| n * 10 + i32::from(digit - b'0')),
        );
    }
    let text = std::str::from_utf8(cell).ok()?;
    let value = match number(text) {
        Some(stated) => stated / per_second,
        None => spelled_seconds(text)?,
    };
    (value.abs() < f64::from(i32::MAX)).then_some(value.round() as i32)
}

/// Reads a decimal number. A comma before exactly three digits separates thousands; any other is a
/// decimal mark.
pub(super) fn number(text: &str) -> Option<f64> {
    let Some((_, after)) = text.rsplit_once(',') else {
        return text.parse().ok();
    };
    let digits = after.bytes().take_while(u8::is_ascii_digit).count();
    let is_thousands = digits == 3 && matches!(after.as_bytes().get(3), None | Some(b'.'));
    let plain = if is_thousands {
        text.replace(',', "")
    } else {
        text.replace('.', "").replace(',', ".")
    };
    plain.parse().ok()
}

/// Reads a duration that names its units: `14h 26min. 2sec.`, `6m 47s`, `0:08:34`. `None` for any
/// other text.
fn spelled_seconds(text: &str) -> Option<f64> {
    /// Each larger than the next.
    const UNITS: &[(&[&str], f64)] = &[
        (&["d", "day", "days"], 86_400.0),
        (&["h", "hr", "hrs", "hour", "hours"], 3600.0),
        (&["m", "min", "mins", "minute", "minutes"], 60.0),
        (&["s", "sec", "secs", "second", "seconds"], 1.0),
    ];
    if let [hours, minutes, seconds] = *text.split(':').collect::<Vec<_>>() {
        let number = |text: &str| text.trim().parse::<u32>().ok().map(f64::from);
        return Some(number(hours)? * 3600.0 + number(minutes)? * 60.0 + number(seconds)?);
    }
    let mut rest = text.trim();
    let mut units = UNITS.iter();
    let mut sum = 0.0;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit())?;
        let (number, after) = rest.split_at(digits);
        let after = after.trim_start();
        let letters = after
            .find(|c: char| !c.is_ascii_alphabetic())
            .unwrap_or(after.len());
        let (unit, after) = after.split_at(letters);
        let unit = unit.to_ascii_lowercase();
        // Each unit once, the largest first.
        let (_, seconds) = units.find(|(words, _)| words.contains(&unit.as_str()))?;
        sum += f64::from(number.parse::<u32>().ok()?) * seconds;
        rest = after.trim_start_matches(['.', ' ']);
    }
    (!text.trim().is_empty()).then_some(sum)
}

/// Reads a year of four digits, perhaps with `.0` at its end. [`NONE_I16`] for any other text.
pub(super) fn year(cell: &[u8]) -> i16 {
    let digits = match cell {
        [a, b, c, d] | [a, b, c, d, b'.', b'0'] => [*a, *b, *c, *d],
        _ => return NONE_I16,
    };
    if !digits.iter().all(u8::is_ascii_digit) {
        return NONE_I16;
    }
    digits
        .iter()
        .fold(0, |n, digit| n * 10 + i16::from(digit - b'0'))
}

/// Returns the word for a gender, which Citi Bike and Hubway write as 0, 1 and 2, and the systems of
/// Mexico as M and F.
pub(super) fn gender(text: &str) -> Cow<'_, str> {
    Cow::Borrowed(match text {
        "0" => "",
        "1" | "M" => "Male",
        "2" | "F" => "Female",
        other => other,
    })
}

/// Returns the word for a rider whose membership a file states as 1 or 0.
pub(super) fn rider_of_flag(text: &str) -> Cow<'_, str> {
    Cow::Borrowed(match text {
        "1" => "member",
        "0" => "casual",
        other => other,
    })
}

/// Reads decimal degrees as millionths, rounded half up. `None` for a text that is no latitude or
/// longitude.
#[inline]
pub(super) fn micro_degrees(cell: &[u8]) -> Option<i32> {
    let (is_negative, digits) = match cell {
        [b'-', rest @ ..] => (true, rest),
        rest => (false, rest),
    };
    let mut value = 0_i64;
    let mut decimals = None;
    let mut has_digits = false;
    for byte in digits {
        match (byte.wrapping_sub(b'0'), decimals) {
            (digit @ 0..=9, None) => {
                has_digits = true;
                value = value * 10 + i64::from(digit);
                if value > 180 {
                    return None;
                }
            }
            (digit @ 0..=9, Some(read)) => {
                has_digits = true;
                if read < 6 {
                    value = value * 10 + i64::from(digit);
                } else if read == 6 {
                    value += i64::from(digit >= 5);
                }
                decimals = Some(read + 1);
            }
            // Spreadsheets of many countries write a comma.
            _ if matches!(byte, b'.' | b',') && decimals.is_none() => decimals = Some(0_u32),
            _ => return None,
        }
    }
    let decimals = decimals.unwrap_or(0).min(6);
    let micro = value * 10_i64.pow(6 - decimals);
    let micro = i32::try_from(micro)
        .ok()
        .filter(|micro| *micro <= 180_000_000)?;
    has_digits.then_some(if is_negative { -micro } else { micro })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_in_every_form() {
        for (text, per_second, expected) in [
            ("316", 1.0, Some(316)),
            ("1,048.0", 1.0, Some(1048)),
            ("407799", 1000.0, Some(408)),
            ("6", 1.0 / 60.0, Some(360)),
            ("14h 26min. 2sec.", 1.0, Some(51_962)),
            ("0h 8min. 34sec.", 1.0, Some(514)),
            ("0h 10m 35s", 1000.0, Some(635)),
            ("6m 47s", 1.0, Some(407)),
            ("8s", 1.0, Some(8)),
            ("1d 2h", 1.0, Some(93_600)),
            ("0:08:34", 1.0, Some(514)),
            ("34s 8m", 1.0, None),
            ("8 parsecs", 1.0, None),
            ("8:34", 1.0, None),
            ("", 1.0, None),
            ("nan", 1.0, None),
        ] {
            assert_eq!(seconds(text.as_bytes(), per_second), expected, "{text}");
        }
    }

    #[test]
    fn numbers_are_found_in_names_and_behind_zeros() {
        let split = |name: &'static str| {
            let (name, number) = name_and_number(name.as_bytes())?;
            Some((
                str::from_utf8(name).unwrap(),
                str::from_utf8(number).unwrap(),
            ))
        };
        assert_eq!(
            split("Marble & U St NW (31111)"),
            Some(("Marble & U St NW", "31111"))
        );
        assert_eq!(split("Wren Ave (Temp)"), None);
        assert_eq!(split("Wren Ave"), None);
        assert_eq!(without_padding(b"001108"), b"1108");
        assert_eq!(without_padding(b"000"), b"0");
        assert_eq!(without_padding(b""), b"");
        assert_eq!(without_padding(b"0A1"), b"0A1");
    }
}
