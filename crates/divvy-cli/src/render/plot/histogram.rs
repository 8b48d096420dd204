//! A histogram of durations.

use divvy::reports::plural;

use super::data::{NotDrawn, Plot};
use super::frame::{Drawing, Frame, Heading, NAME, Sheet};
use super::svg::{Anchor, Fill};
use crate::render::colours::{ALL, INK};

/// Draws how many trips take how many minutes.
pub(super) fn draw(plot: &Plot<'_>, sheet: Sheet) -> Result<Drawing, NotDrawn> {
    let drawing = plot.durations.as_deref();
    let drawing = drawing.and_then(|durations| draw_counts(plot, durations, sheet));
    drawing.ok_or_else(|| plot.nothing())
}

/// Draws the trips of each minute. `None` without trips.
fn draw_counts(plot: &Plot<'_>, durations: &[(i64, i64)], sheet: Sheet) -> Option<Drawing> {
    let trips: i64 = durations.iter().map(|(_, n)| n).sum();
    // With the longest fiftieth of the trips, the bars of all others would be a few pixels wide.
    let longest = quantile(durations, trips * 49, 50)?;
    let minutes = (longest / 60 + 1).clamp(10, 240);
    let mut counts = vec![0_i64; minutes as usize];
    let mut longer = 0;
    for (second, n) in durations {
        match counts.get_mut((second / 60) as usize) {
            Some(count) => *count += n,
            None => longer += n,
        }
    }
    let longer = plural(longer, "trip");
    let scope = plot.scope_with(&[format!("{longer} longer than {minutes} min not drawn")]);
    let heading = Heading::new("How long trips take".into(), scope, &[]);
    let mut frame = Frame::new(sheet, &heading, sheet.chart());
    let most = counts.iter().copied().max().unwrap_or(0) as f64;
    let y_of = frame.number_axis("trips per minute of duration", most);
    let width = frame.width() / counts.len() as f64;
    for (minute, n) in counts.iter().enumerate() {
        let top = y_of(*n as f64);
        let at = (frame.left + width * minute as f64, top);
        let size = ((width - 0.6).max(0.6), frame.bottom - top);
        let tooltip = format!("{minute} to {} min: {}", minute + 1, plural(*n, "trip"));
        frame.svg.rect(at, size, Fill::Solid(ALL), &tooltip);
    }
    let median = quantile(durations, trips, 2)?;
    let x = frame.left + width * (median as f64 / 60.0);
    frame.line(&[(x, frame.top), (x, frame.bottom)], INK, 1.5);
    let text = format!("median {} min {:02} s", median / 60, median % 60);
    let beside = (x + 6.0, frame.top + 10.0);
    frame.svg.text(beside, NAME, Anchor::Start, &text);
    frame.base_line();
    let step = match minutes {
        ..=60 => 5,
        61..=120 => sheet.pick(15, 30),
        _ => sheet.pick(30, 60),
    };
    let labels: Vec<(f64, String)> = (0..=minutes)
        .step_by(step)
        .map(|minute| (frame.left + width * minute as f64, minute.to_string()))
        .collect();
    frame.labels("duration (minutes)", &labels);
    Some(frame.finish())
}

/// Returns the shortest duration in seconds that at least `of / parts` trips do not exceed. `None`
/// without trips.
fn quantile(durations: &[(i64, i64)], of: i64, parts: i64) -> Option<i64> {
    let mut trips = 0;
    let reached = durations.iter().find(|(_, n)| {
        trips += n;
        trips * parts >= of
    });
    reached.filter(|_| of > 0).map(|(second, _)| *second)
}
