//! The embedded font, and the layout of texts in it.

use std::sync::LazyLock;

use skrifa::charmap::Charmap;
use skrifa::instance::{LocationRef, Size};
use skrifa::metrics::GlyphMetrics;
use skrifa::{FontRef, MetadataProvider};

/// Ubuntu Light, whose licence (Ubuntu Font Licence 1.0) allows embedding.
pub(super) static FONT: &[u8] = epaint_default_fonts::UBUNTU_LIGHT;

struct Metrics {
    charmap: Charmap<'static>,
    /// The metrics of glyphs at size 1.
    glyphs: GlyphMetrics<'static>,
}

static METRICS: LazyLock<Metrics> = LazyLock::new(|| {
    let font = FontRef::new(FONT).expect("the embedded font is well formed");
    Metrics {
        charmap: font.charmap(),
        glyphs: font.glyph_metrics(Size::new(1.0), LocationRef::default()),
    }
});

/// Returns the width of a text at a font size.
pub(super) fn width(text: &str, size: f64) -> f64 {
    let advances = text.chars().map(|letter| {
        let glyph = METRICS.charmap.map(letter).unwrap_or_default();
        f64::from(METRICS.glyphs.advance_width(glyph).unwrap_or(0.0))
    });
    advances.sum::<f64>() * size
}

/// Breaks a text between words into lines of at most a width. A single longer word stays whole.
pub(super) fn wrap(text: &str, size: f64, most: f64) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        let line = lines.last_mut().expect("there is always a line");
        let longer = if line.is_empty() {
            word.to_owned()
        } else {
            format!("{line} {word}")
        };
        if width(&longer, size) > most && !line.is_empty() {
            lines.push(word.to_owned());
        } else {
            *line = longer;
        }
    }
    lines
}

/// Cuts a text to a width, with an ellipsis in its middle: both ends of a station's name matter.
pub(super) fn cut_middle(text: &str, size: f64, most: f64) -> String {
    if width(text, size) <= most {
        return text.to_owned();
    }
    let letters: Vec<char> = text.chars().collect();
    let mut shown = String::from("…");
    for kept in 1..letters.len() {
        let start: String = letters[..kept.div_ceil(2)].iter().collect();
        let end: String = letters[letters.len() - kept / 2..].iter().collect();
        let longer = format!("{}…{}", start.trim_end(), end.trim_start());
        if width(&longer, size) > most {
            break;
        }
        shown = longer;
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_cut_in_its_middle_to_the_width() {
        let name = "Outside Lake Shore Dr & North Blvd";
        assert_eq!(cut_middle(name, 13.0, 1_000.0), name);
        for most in [40.0, 60.0, 140.0] {
            let cut = cut_middle(name, 13.0, most);
            assert!(width(&cut, 13.0) <= most, "{cut}");
            assert!(cut.starts_with('O') && cut.contains('…'), "{cut}");
        }
        assert!(cut_middle(name, 13.0, 140.0).ends_with("Blvd"));
        assert_eq!(cut_middle("", 13.0, 10.0), "");
    }
}
