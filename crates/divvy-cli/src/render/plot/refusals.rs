//! What pictures cannot show: an option that has no influence on a picture is refused.

use divvy::reports::{Dim, Picture};

use super::data::{NotDrawn, Plot};
use super::heat_map;

/// More bars than these cannot be read.
const MOST_BARS: usize = 60;

/// Refuses groups, an order or a number of rows that the picture ignores.
///
/// # Errors
///
/// There is such an option.
pub(super) fn check(plot: &Plot<'_>) -> Result<(), NotDrawn> {
    let filters = plot.filters;
    let is_map = matches!(plot.picture, Picture::StationMap | Picture::RouteMap);
    if plot.base.is_some() && !is_map {
        return Err(plot.refused("is no map: leave --base out"));
    }
    let ignored = ignored(plot);
    if let (Some(shown), Some(sort)) = (ignored, &filters.sort) {
        return Err(plot.refused(format!("{shown}: leave --sort {} out", sort.column)));
    }
    if let (Some(shown), Some(top)) = (ignored, filters.top) {
        return Err(plot.refused(format!("{shown}: leave --top {top} out")));
    }
    match plot.picture {
        Picture::StationMap if !matches!(filters.by[..], [] | [Dim::Station]) => {
            let by: Vec<&str> = filters.by.iter().map(|dim| dim.as_str()).collect();
            let by = by.join(",");
            Err(plot.refused(format!(
                "is a map of stations over all hours: leave --by {by} out, or narrow it with \
                 --weekday or --hour"
            )))
        }
        Picture::Line { .. } if filters.sort.is_some() && plot.table.rows.len() > MOST_BARS => {
            Err(plot.refused(format!(
                "has the order of the dates unless it has at most {MOST_BARS} rows: leave --sort \
                 out, or add --top"
            )))
        }
        _ => Ok(()),
    }
}

/// Says what a picture shows for which the order and the number of rows have no meaning. `None` for
/// the others.
fn ignored(plot: &Plot<'_>) -> Option<&'static str> {
    match plot.picture {
        Picture::StationMap => Some("shows every station"),
        Picture::Reliability => Some("shows all forecasts of similar probability together"),
        Picture::Histogram if plot.filters.by.is_empty() => Some("shows all durations together"),
        Picture::Bars { up, .. } | Picture::Line { up, .. } => {
            let is_heat_map = heat_map::Columns::of(plot, up).is_some();
            is_heat_map.then_some("has a square for every hour of every weekday")
        }
        _ => None,
    }
}
