//! A reliability diagram: how often events happened, by the probability that was forecast.

use divvy::reports::Value;

use super::data::{NotDrawn, Plot, index_of, label};
use super::frame::{Drawing, Frame, Heading, Sheet};
use super::svg::Stroke;
use super::words::{in_words, number};
use crate::render::colours::{Colour, LINE, SOFT, assign};

/// The horizon that is drawn where there are several.
const HORIZON_MIN: f64 = 60.0;

/// The fewest forecasts of a dot: of fewer, the share that happened is mostly chance.
const LEAST: f64 = 30.0;

/// The columns that are shown, by their indices.
struct Columns {
    bikes_of: usize,
    horizon: usize,
    event: usize,
    is_of_bin: usize,
    forecast: usize,
    observed: usize,
    n: usize,
}

/// Forecasts of similar probability.
struct Dot {
    event: String,
    forecast: f64,
    observed: f64,
    n: f64,
}

/// Draws a dot for the forecasts of each event of similar probability.
pub(super) fn draw(plot: &Plot<'_>, sheet: Sheet) -> Result<Drawing, NotDrawn> {
    let nothing = || NotDrawn::Nothing("no forecast of these is due and recorded".into());
    let columns = Columns::of(plot).ok_or_else(nothing)?;
    let rows = &plot.table.rows;
    let horizons = rows.iter().filter_map(|row| row[columns.horizon].number());
    let distance = |horizon: &f64| (horizon - HORIZON_MIN).abs();
    let horizon = horizons.min_by(|a, b| distance(a).total_cmp(&distance(b)));
    let horizon = horizon.ok_or_else(nothing)?;
    // All bikes come first, unless those of one kind were asked for.
    let bikes_of = label(&rows[0][columns.bikes_of]);
    let mut dots = Vec::new();
    let mut few = 0.0;
    for row in rows {
        let is_drawn = row[columns.is_of_bin] != Value::Empty
            && row[columns.horizon].number() == Some(horizon)
            && label(&row[columns.bikes_of]) == bikes_of;
        if let (true, Some(dot)) = (is_drawn, columns.dot(row)) {
            match dot.n < LEAST {
                true => few += dot.n,
                false => dots.push(dot),
            }
        }
    }
    if dots.is_empty() {
        return Err(nothing());
    }
    let mut events = Vec::new();
    for dot in &dots {
        index_of(&mut events, dot.event.clone());
    }
    let events: Vec<(String, Colour)> = assign(&events);
    let drawn: f64 = dots.iter().map(|dot| dot.n).sum();
    let mut scope = format!("{} of {}", number(drawn), plot.scope);
    if few > 0.0 {
        let (few, least) = (number(few), number(LEAST));
        scope += &format!("; {few} in groups of fewer than {least} not drawn");
    }
    let title = format!(
        "What was forecast {} minutes ahead, and how often it happened",
        number(horizon)
    );
    let bike = match bikes_of.as_str() {
        "ebike" => "e-bike",
        "classic" => "classic bike",
        _ => "bike",
    };
    let events: Vec<(String, String, Colour)> = events
        .into_iter()
        .map(|(event, colour)| {
            let name = in_words(&event).replace("bike", bike);
            (event, name, colour)
        })
        .collect();
    let legend: Vec<(String, Colour)> = events
        .iter()
        .map(|(_, name, colour)| (name.clone(), *colour))
        .collect();
    let heading = Heading::new(title, scope, &legend);
    Ok(chart(sheet, &heading, &events, &dots))
}

/// `events` are their names in the table and in words, with their colours.
fn chart(
    sheet: Sheet,
    heading: &Heading,
    events: &[(String, String, Colour)],
    dots: &[Dot],
) -> Drawing {
    let mut frame = Frame::new(sheet, heading, sheet.chart());
    let y_of = frame.number_axis("share that happened (%)", 100.0);
    let (left, width) = (frame.left, frame.width());
    let x_of = |share: f64| left + width * share;
    let at = |forecast: f64, observed: f64| (x_of(forecast), y_of(100.0 * observed));
    frame.svg.line(
        &[at(0.0, 0.0), at(1.0, 1.0)],
        Stroke {
            colour: SOFT,
            width: 1.0,
            opacity: 1.0,
        },
        "as often as forecast",
    );
    for (event, name, colour) in events {
        let of_event = || dots.iter().filter(|dot| dot.event == *event);
        let line: Vec<_> = of_event()
            .map(|dot| at(dot.forecast, dot.observed))
            .collect();
        let thin = Stroke {
            colour: *colour,
            width: 1.2,
            opacity: 0.6,
        };
        frame.svg.line(&line, thin, name);
        for dot in of_event() {
            let tooltip = format!(
                "{name}: {} forecasts of {:.1} %, {:.1} % happened",
                number(dot.n),
                100.0 * dot.forecast,
                100.0 * dot.observed
            );
            let radius = (1.2 * dot.n.log10()).clamp(2.0, 7.0);
            let centre = at(dot.forecast, dot.observed);
            frame.svg.circle(centre, radius, (*colour, 0.9), &tooltip);
        }
    }
    frame.base_line();
    frame.line(&[at(0.0, 0.0), at(0.0, 1.0)], LINE, 1.0);
    let percents = (0..=100_u8).step_by(20);
    let labels: Vec<(f64, String)> = percents
        .map(|percent| (x_of(f64::from(percent) / 100.0), percent.to_string()))
        .collect();
    frame.labels(
        "forecast probability (%); larger dots: more forecasts",
        &labels,
    );
    frame.finish()
}

impl Columns {
    fn of(plot: &Plot<'_>) -> Option<Self> {
        let named = |name: &str| plot.table.columns.iter().position(|it| it.name == name);
        Some(Self {
            bikes_of: named("bikes_of")?,
            horizon: named("horizon_min")?,
            event: named("event")?,
            is_of_bin: named("forecast_from")?,
            forecast: named("forecast")?,
            observed: named("observed")?,
            n: named("n")?,
        })
    }

    fn dot(&self, row: &[Value]) -> Option<Dot> {
        Some(Dot {
            event: label(&row[self.event]),
            forecast: row[self.forecast].number()?,
            observed: row[self.observed].number()?,
            n: row[self.n].number()?,
        })
    }
}
