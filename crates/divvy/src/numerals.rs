//! Numbers in messages.

/// Formats a whole number with separators of thousands: `1,048,576`.
pub fn grouped(number: i64) -> String {
    let digits = number.unsigned_abs().to_string();
    let mut text = String::from(if number < 0 { "-" } else { "" });
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Formats a number of things: `1 trip`, `2,000 trips`.
pub fn plural(number: i64, noun: &str) -> String {
    let ending = if number == 1 { "" } else { "s" };
    format!("{} {noun}{ending}", grouped(number))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_stand_apart() {
        let texts = [0, 999, 1_000, -12_345, 1_048_576].map(grouped);
        assert_eq!(texts, ["0", "999", "1,000", "-12,345", "1,048,576"]);
        assert_eq!(plural(1, "trip"), "1 trip");
        assert_eq!(plural(84_776, "trip"), "84,776 trips");
    }
}
