//! Everything around the data of a chart: title, legend, axes.

use super::svg::{Anchor, Fill, Font, Point, Stroke, Svg};
use super::text;
use super::words::{in_words, number};
use crate::render::colours::{Colour, INK, LINE, SOFT, Theme};

/// The size of labels.
pub(super) const SMALL: f64 = 13.0;
const TITLE: f64 = 19.0;

/// The font of axes and of what explains them.
pub(super) const LABEL: Font = Font {
    size: SMALL,
    colour: SOFT,
};
/// The font of names in a chart.
pub(super) const NAME: Font = Font {
    size: SMALL,
    colour: INK,
};

/// Widths of texts are those of the embedded font, times this: viewers of SVG may have wider fonts.
const SPARE_WIDTH: f64 = 1.12;

/// Height taken by the labels and the title of the axis at the bottom.
pub(super) const BOTTOM_AXIS: f64 = 46.0;

/// The space for which a picture is drawn. Texts have the same size in both.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// A computer's screen, or a sheet of paper.
    Wide,
    /// A phone.
    Narrow,
}

/// What a picture is drawn on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sheet {
    /// Its size.
    pub layout: Layout,
    /// Its colours.
    pub theme: Theme,
}

impl Sheet {
    pub(super) fn width(self) -> f64 {
        self.pick(960.0, 400.0)
    }

    /// Returns the size of charts with two axes.
    pub(super) fn chart(self) -> (f64, f64) {
        (self.width(), self.pick(500.0, 380.0))
    }

    /// Returns the value for its layout.
    pub(super) fn pick<T>(self, wide: T, narrow: T) -> T {
        match self.layout {
            Layout::Wide => wide,
            Layout::Narrow => narrow,
        }
    }
}

/// What a chart is headed by.
pub(super) struct Heading {
    pub(super) title: String,
    /// Which trips are counted, and what is not drawn.
    pub(super) scope: String,
    pub(super) legend: Vec<(String, Fill)>,
}

impl Heading {
    /// Makes a heading whose legend has plain colours.
    pub(super) fn new(title: String, scope: String, legend: &[(String, Colour)]) -> Self {
        let legend = legend.iter();
        Self {
            title,
            scope,
            legend: legend
                .map(|(name, colour)| (in_words(name).into_owned(), Fill::Solid(*colour)))
                .collect(),
        }
    }
}

/// A finished picture.
pub struct Drawing {
    /// What it shows, of which trips.
    pub title: String,
    /// An SVG document.
    pub svg: String,
}

/// A chart being drawn: its SVG, and the area that is left for data.
pub(super) struct Frame {
    title: String,
    pub(super) svg: Svg,
    pub(super) left: f64,
    pub(super) right: f64,
    pub(super) top: f64,
    pub(super) bottom: f64,
}

impl Frame {
    /// Begins a chart with its heading.
    pub(super) fn new(sheet: Sheet, heading: &Heading, (width, height): (f64, f64)) -> Self {
        let Heading {
            title,
            scope,
            legend,
        } = heading;
        let whole_title = format!("{title} ({scope})");
        let mut svg = Svg::new(sheet.theme, &whole_title, (width, height));
        let (left, right) = (20.0, width - 24.0);
        let title_font = Font {
            size: TITLE,
            colour: INK,
        };
        let mut y = 14.0;
        for line in text::wrap(title, TITLE, (right - left) / SPARE_WIDTH) {
            y += TITLE + 3.0;
            svg.text((left, y), title_font, Anchor::Start, &line);
        }
        y += 3.0;
        for line in text::wrap(scope, SMALL, (right - left) / SPARE_WIDTH) {
            y += SMALL + 4.0;
            svg.text((left, y), LABEL, Anchor::Start, &line);
        }
        if !legend.is_empty() {
            y += 26.0;
            let mut x = left;
            for (name, fill) in legend {
                let width = 18.0 + width_of(name) + 22.0;
                if x + width > right && x > left {
                    x = left;
                    y += SMALL + 8.0;
                }
                svg.rect((x, y - 10.0), (12.0, 12.0), *fill, "");
                svg.text((x + 18.0, y), NAME, Anchor::Start, name);
                x += width;
            }
        }
        Self {
            title: whole_title,
            svg,
            left,
            right,
            top: y + 22.0,
            bottom: height - 20.0,
        }
    }

    pub(super) fn finish(self) -> Drawing {
        Drawing {
            title: self.title,
            svg: self.svg.finish(),
        }
    }

    pub(super) fn width(&self) -> f64 {
        self.right - self.left
    }

    pub(super) fn height(&self) -> f64 {
        self.bottom - self.top
    }

    /// Draws a line without a tooltip.
    pub(super) fn line(&mut self, points: &[Point], colour: Colour, width: f64) {
        let stroke = Stroke {
            colour,
            width,
            opacity: 1.0,
        };
        self.svg.line(points, stroke, "");
    }

    /// Draws the lower edge of the data's area.
    pub(super) fn base_line(&mut self) {
        let points = [(self.left, self.bottom), (self.right, self.bottom)];
        self.line(&points, SOFT, 1.0);
    }

    /// Draws the axis at the left, from 0 to at least `most`, and takes the space of both axes from
    /// the area. Returns the function from values to y.
    pub(super) fn number_axis(&mut self, title: &str, most: f64) -> impl Fn(f64) -> f64 + use<> {
        let ticks = ticks(most);
        let last = ticks.last().copied().unwrap_or(1.0);
        self.bottom -= BOTTOM_AXIS;
        let labels: Vec<String> = ticks.iter().map(|tick| number(*tick)).collect();
        let widest = labels.iter().map(|label| width_of(label));
        let widest = widest.fold(0.0, f64::max);
        let middle = (self.top + self.bottom) / 2.0;
        self.svg
            .text_upwards((self.left + SMALL, middle), LABEL, title);
        self.left += SMALL + 12.0 + widest + 8.0;
        let (top, bottom) = (self.top, self.bottom);
        let y_of = move |value: f64| bottom - (bottom - top) * value / last;
        for (tick, label) in ticks.iter().zip(&labels) {
            let y = y_of(*tick);
            self.line(&[(self.left, y), (self.right, y)], LINE, 1.0);
            self.svg
                .text((self.left - 8.0, y + 4.5), LABEL, Anchor::End, label);
        }
        y_of
    }

    /// Writes the labels of the axis at the bottom, each at its x, and its title.
    pub(super) fn labels(&mut self, title: &str, labels: &[(f64, String)]) {
        let y = self.bottom + SMALL + 6.0;
        for (x, label) in labels {
            self.svg.text((*x, y), LABEL, Anchor::Middle, label);
        }
        let middle = (self.left + self.right) / 2.0;
        let below = (middle, y + SMALL + 9.0);
        self.svg.text(below, LABEL, Anchor::Middle, title);
    }

    /// Returns how many labels as wide as one fit beside each other.
    pub(super) fn fitting(&self, label: &str) -> usize {
        (self.width() / (width_of(label) + 14.0)) as usize
    }
}

/// Returns the width of a label, in a wide font.
pub(super) fn width_of(label: &str) -> f64 {
    text::width(label, SMALL) * SPARE_WIDTH
}

/// Returns the smallest of the round numbers 1, 2, 2.5 and 5, times a power of ten, that is not less.
pub(super) fn round_up(least: f64) -> f64 {
    let ten = 10_f64.powf(least.max(1e-9).log10().floor());
    let steps = [1.0, 2.0, 2.5, 5.0, 10.0].map(|step| step * ten);
    let step = steps.into_iter().find(|step| *step >= least);
    step.unwrap_or(10.0 * ten)
}

/// Returns round numbers in even steps from 0 to at least the largest value: three to eight.
fn ticks(most: f64) -> Vec<f64> {
    let most = if most > 0.0 { most } else { 1.0 };
    let step = round_up(most / 5.0);
    let n = (most / step).ceil() as usize;
    (0..=n).map(|tick| tick as f64 * step).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_and_reach_the_largest() {
        assert_eq!(ticks(97.0), [0.0, 20.0, 40.0, 60.0, 80.0, 100.0]);
        assert_eq!(ticks(0.0).len(), 6);
        for most in [1.0, 3.0, 12.5, 999.0, 123_456.0] {
            let ticks = ticks(most);
            assert!((3..=8).contains(&ticks.len()), "{most}: {ticks:?}");
            assert!(*ticks.last().unwrap() >= most);
        }
    }
}
