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

/// Cuts a text to a width, with an ellipsis at its end.
pub(super) fn cut(text: &str, size: f64, most: f64) -> String {
    if width(text, size) <= most {
        return text.to_owned();
    }
    let mut kept = text.to_owned();
    while !kept.is_empty() && width(&kept, size) + width("…", size) > most {
        kept.pop();
    }
    format!("{}…", kept.trim_end())
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
