//! What stands around the marks of a chart: title, axes, legend.

use divvy::reports::grouped;

use super::{Anchor, Colour, Drawing, GRID, INK, Mark, SOFT, letters};

/// The size of labels.
pub(super) const SMALL: f64 = 13.0;
const TITLE: f64 = 19.0;
/// Other fonts than ours are a little wider.
const ROOM: f64 = 1.12;

/// A chart that is being drawn: the room for its marks, and what has been drawn.
pub(super) struct Frame {
    drawing: Drawing,
    pub(super) left: f64,
    pub(super) right: f64,
    pub(super) top: f64,
    pub(super) bottom: f64,
}

impl Frame {
    /// Begins a chart of some size with its title, what it counts, and a legend.
    pub(super) fn new(
        title: String,
        scope: &str,
        (width, height): (f64, f64),
        legend: &[(String, Colour)],
    ) -> Self {
        let mut frame = Self {
            drawing: Drawing {
                title: format!("{title} ({scope})"),
                width,
                height,
                marks: Vec::new(),
            },
            left: 20.0,
            right: width - 24.0,
            top: 0.0,
            bottom: height - 20.0,
        };
        let most = (frame.right - frame.left) / ROOM;
        let mut y = 14.0;
        for line in letters::wrap(&title, TITLE, most) {
            y += TITLE + 3.0;
            frame.text((frame.left, y), TITLE, INK, Anchor::Start, &line);
        }
        y += 3.0;
        for line in letters::wrap(scope, SMALL, most) {
            y += SMALL + 4.0;
            frame.text((frame.left, y), SMALL, SOFT, Anchor::Start, &line);
        }
        if !legend.is_empty() {
            y += 26.0;
            let mut x = frame.left;
            for (name, colour) in legend {
                let wide = 18.0 + letters::width(name, SMALL) * ROOM + 22.0;
                if x + wide > frame.right && x > frame.left {
                    x = frame.left;
                    y += SMALL + 8.0;
                }
                frame.rect((x, y - 10.0), (12.0, 12.0), *colour, String::new());
                frame.text((x + 18.0, y), SMALL, INK, Anchor::Start, name);
                x += wide;
            }
        }
        frame.top = y + 22.0;
        frame
    }

    pub(super) fn finish(self) -> Drawing {
        self.drawing
    }

    pub(super) fn mark(&mut self, mark: Mark) {
        self.drawing.marks.push(mark);
    }

    pub(super) fn text(
        &mut self,
        at: (f64, f64),
        size: f64,
        fill: Colour,
        anchor: Anchor,
        text: &str,
    ) {
        self.mark(Mark::Text {
            at,
            size,
            fill,
            anchor,
            upwards: false,
            text: text.into(),
        });
    }

    pub(super) fn rect(&mut self, at: (f64, f64), size: (f64, f64), fill: Colour, hint: String) {
        self.mark(Mark::Rect {
            at,
            size,
            fill,
            hint,
        });
    }

    pub(super) fn line(&mut self, points: Vec<(f64, f64)>, stroke: Colour, width: f64) {
        self.mark(Mark::Line {
            points,
            stroke,
            width,
            opacity: 1.0,
            hint: String::new(),
        });
    }

    /// Draws the axis of numbers at the left, from 0 to `most`, and makes room for it. Returns
    /// where a number stands.
    pub(super) fn number_axis(&mut self, title: &str, most: f64) -> impl Fn(f64) -> f64 + use<> {
        let ticks = ticks(most);
        let last = ticks.last().copied().unwrap_or(1.0);
        self.bottom -= 46.0; // for the axis below
        let labels: Vec<String> = ticks.iter().map(|tick| number(*tick)).collect();
        let widths = labels.iter().map(|label| letters::width(label, SMALL));
        let widest = widths.fold(0.0, f64::max) * ROOM;
        self.mark(Mark::Text {
            at: (self.left + SMALL, (self.top + self.bottom) / 2.0),
            size: SMALL,
            fill: SOFT,
            anchor: Anchor::Middle,
            upwards: true,
            text: title.into(),
        });
        self.left += SMALL + 12.0 + widest + 8.0;
        let (top, bottom) = (self.top, self.bottom);
        let place = move |value: f64| bottom - (bottom - top) * value / last;
        for (tick, label) in ticks.iter().zip(&labels) {
            let y = place(*tick);
            self.line(vec![(self.left, y), (self.right, y)], GRID, 1.0);
            self.text((self.left - 8.0, y + 4.5), SMALL, SOFT, Anchor::End, label);
        }
        place
    }

    /// Writes labels below, as many as there is room for, and the title of that axis.
    pub(super) fn labels(&mut self, title: &str, labels: &[(f64, String)]) {
        let y = self.bottom + SMALL + 6.0;
        let widest = labels
            .iter()
            .map(|(_, label)| letters::width(label, SMALL) * ROOM + 10.0);
        let widest = widest.fold(1.0, f64::max);
        let apart = labels.windows(2).map(|pair| pair[1].0 - pair[0].0);
        let apart = apart.fold(f64::INFINITY, f64::min).max(0.01);
        let each = ((widest / apart).ceil() as usize).max(1);
        for (x, label) in labels.iter().step_by(each) {
            self.text((*x, y), SMALL, SOFT, Anchor::Middle, label);
        }
        let middle = (self.left + self.right) / 2.0;
        self.text(
            (middle, y + SMALL + 9.0),
            SMALL,
            SOFT,
            Anchor::Middle,
            title,
        );
    }
}

/// Finds round numbers from 0 to at least the largest value: four to seven of them.
pub(super) fn ticks(most: f64) -> Vec<f64> {
    let most = if most > 0.0 { most } else { 1.0 };
    let rough = most / 5.0;
    let ten = 10_f64.powf(rough.log10().floor());
    let steps = [1.0, 2.0, 2.5, 5.0, 10.0].map(|step| step * ten);
    let step = steps
        .into_iter()
        .find(|step| *step >= rough)
        .unwrap_or(10.0 * ten);
    let n = (most / step).ceil() as usize;
    (0..=n).map(|tick| tick as f64 * step).collect()
}

/// Writes a number of an axis: `1,500`, `2.5`.
pub(super) fn number(value: f64) -> String {
    match value.fract().abs() < 1e-9 {
        true => grouped(value.round() as i64),
        false => {
            let text = format!("{value:.3}");
            text.trim_end_matches('0').trim_end_matches('.').to_owned()
        }
    }
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
