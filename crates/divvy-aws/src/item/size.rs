//! Sizes of items in bytes, and in capacity units.
//!
//! Rules of <https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/CapacityUnitCalculations.html>:
//! names and texts count as their bytes of UTF-8. A number counts as one byte, and one more for
//! each two significant digits before and after the point; a negative number as one more. For
//! numbers the page states "approximately"; rounding and sign are as the authors of the emulator
//! measured them.

use aws_sdk_dynamodb::types::AttributeValue;

use super::Item;

/// Bytes of a write unit.
pub const WRITE_UNIT_BYTES: u64 = 1024;
/// Bytes of a read unit for eventually consistent reads: a strongly consistent read of as much
/// takes two units.
pub const READ_UNIT_BYTES: u64 = 8192;
/// Bytes of a read unit for strongly consistent reads. An eventually consistent read of as much
/// takes half a unit, the least that is charged for a page.
pub const CONSISTENT_READ_UNIT_BYTES: u64 = READ_UNIT_BYTES / 2;
/// The most bytes in one page of a query or scan.
pub const PAGE_BYTES: u64 = 1 << 20;

/// Returns the write units of an item: one for each kilobyte or part of one.
pub fn write_units(bytes: u64) -> u64 {
    bytes.div_ceil(WRITE_UNIT_BYTES).max(1)
}

/// Returns the bytes of an item: its names and its values.
pub fn item_bytes(item: &Item) -> u64 {
    item.iter()
        .map(|(name, value)| name.len() as u64 + value_bytes(value))
        .sum()
}

/// Returns the bytes of a value; lists and maps add 3, and 1 for each element.
fn value_bytes(value: &AttributeValue) -> u64 {
    match value {
        AttributeValue::S(text) => text.len() as u64,
        AttributeValue::N(number) => number_bytes(number),
        AttributeValue::B(bytes) => bytes.as_ref().len() as u64,
        AttributeValue::Ss(texts) => texts.iter().map(|text| text.len() as u64).sum(),
        AttributeValue::Ns(numbers) => numbers.iter().map(|number| number_bytes(number)).sum(),
        AttributeValue::L(values) => 3 + values.iter().map(|v| 1 + value_bytes(v)).sum::<u64>(),
        AttributeValue::M(values) => 3 + values.len() as u64 + item_bytes(values),
        _ => 1,
    }
}

/// Returns the bytes of a decimal number such as `-87.6298`.
pub fn number_bytes(text: &str) -> u64 {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let whole = whole.trim_start_matches('0');
    let fraction = fraction.trim_end_matches('0');
    let (whole, fraction) = match (whole, fraction) {
        (whole, "") => (whole.trim_end_matches('0'), ""),
        ("", fraction) => ("", fraction.trim_start_matches('0')),
        both => both,
    };
    let sign = digits.len() < text.len() && !(whole.is_empty() && fraction.is_empty());
    (whole.len().div_ceil(2) + fraction.len().div_ceil(2) + 1 + usize::from(sign)) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_count_their_digits() {
        let bytes = [
            ("0", 1),
            ("-0", 1),
            ("42", 2),
            ("-42", 3),
            ("1000", 2),
            ("1001", 3),
            ("0.005", 2),
            ("41.8964", 4),
            ("-87.6298", 5),
            ("100.5", 4),
        ];
        assert_eq!(bytes.map(|(text, _)| (text, number_bytes(text))), bytes);
    }

    /// The rules of the emulator were measured on the real service.
    #[test]
    fn sizes_of_numbers_equal_those_of_the_emulator() {
        let fractions = ["", ".0", ".5", ".05", ".050", ".12345", ".123456"];
        for whole in [
            "0", "00", "1", "10", "87", "100", "101", "1042", "65536", "10426648",
        ] {
            for fraction in fractions {
                for sign in ["", "-"] {
                    let text = format!("{sign}{whole}{fraction}");
                    let charged = dynoxide::types::number_size(&text) as u64;
                    assert_eq!(number_bytes(&text), charged, "{text}");
                }
            }
        }
    }

    #[test]
    fn each_kilobyte_begun_is_a_unit() {
        let units = [(0, 1), (1, 1), (1024, 1), (1025, 2), (32 * 1024, 32)];
        assert_eq!(units.map(|(bytes, _)| (bytes, write_units(bytes))), units);
    }
}
