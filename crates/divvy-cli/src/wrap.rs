//! Texts broken into lines that fit a terminal.

use unicode_width::UnicodeWidthStr;

/// Breaks a text between words into lines of at most `width` terminal columns. Lines after the first
/// begin with `indent` blanks. With `None`, and within words, nothing is broken.
pub fn wrapped(text: &str, width: Option<u16>, indent: usize) -> Vec<String> {
    let width = width.map_or(usize::MAX, usize::from);
    let mut lines = Vec::new();
    let mut line = String::new();
    for word in text.split(' ') {
        let has_words = !line.trim().is_empty();
        if has_words && line.width() + 1 + word.width() > width {
            lines.push(std::mem::take(&mut line));
            line = " ".repeat(indent) + word;
        } else {
            if !line.is_empty() {
                line.push(' ');
            }
            line += word;
        }
    }
    lines.push(line);
    lines
}

/// Breaks each line of a message. Its indentation is kept, and deepened by two on further lines.
pub fn wrapped_message(message: &str, width: Option<u16>) -> String {
    let lines = message.split('\n').flat_map(|line| {
        let text = line.trim_start_matches(' ');
        let indent = line.len() - text.len();
        let mut lines = wrapped(
            text,
            width.map(|width| width - (indent as u16).min(width)),
            2,
        );
        for line in &mut lines {
            line.insert_str(0, &" ".repeat(indent));
        }
        lines
    });
    lines.collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_break_between_words() {
        let lines = wrapped("one two three four", Some(9), 2);
        assert_eq!(lines, ["one two", "  three", "  four"]);
        assert_eq!(wrapped("one two", None, 2), ["one two"]);
        assert_eq!(
            wrapped("a /long/path b", Some(5), 0),
            ["a", "/long/path", "b"]
        );
        assert_eq!(wrapped("", Some(5), 0), [""]);
    }

    #[test]
    fn a_message_keeps_its_indentation() {
        let text = wrapped_message("first\n  second line\n", Some(10));
        assert_eq!(text, "first\n  second\n    line\n");
    }
}
