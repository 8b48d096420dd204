//! Growth: for each month a bar, beside the outline of that of the same month a year before.

use divvy::reports::{Dim, Measure, Role, Value};

use super::bars::{Bar, Chart, light_entry};
use super::data::{NotDrawn, Plot, index_of, label};
use super::frame::{Drawing, Heading, Sheet};
use super::scale::Scale;
use super::svg::Fill;
use super::words;
use super::words::short;
use crate::render::colours::{ALL, Colour, SOFT, assign};

/// The columns that are shown, by their indices.
struct Columns {
    month: usize,
    rider: usize,
    trips: usize,
    year_before: usize,
    growth: usize,
    complete: usize,
}

/// Draws both years.
pub(super) fn draw(plot: &Plot<'_>, sheet: Sheet) -> Result<Drawing, NotDrawn> {
    let columns = Columns::of(plot).ok_or_else(|| plot.nothing())?;
    if plot.table.rows.is_empty() {
        return Err(plot.nothing());
    }
    Ok(columns.chart(plot).draw(sheet))
}

impl Columns {
    fn of(plot: &Plot<'_>) -> Option<Self> {
        let named = |name: &str| plot.table.columns.iter().position(|it| it.name == name);
        Some(Self {
            month: plot.column(Role::Group(Dim::Month))?,
            rider: plot.column(Role::Group(Dim::Rider))?,
            trips: plot.column(Role::Measure(Measure::Trips))?,
            year_before: named("year_before")?,
            growth: named("growth")?,
            complete: named("complete")?,
        })
    }

    fn chart(&self, plot: &Plot<'_>) -> Chart {
        let names = plot.table.rows.iter().map(|row| label(&row[self.rider]));
        let mut riders = Vec::new();
        names.for_each(|name| {
            index_of(&mut riders, name);
        });
        let riders: Vec<(String, Colour)> = assign(&riders);
        let mut labels = Vec::new();
        let mut bars = Vec::new();
        let mut before = plot.table.rows.iter().map(|row| &row[self.year_before]);
        let years = if before.any(|before| before.number().is_some()) {
            2
        } else {
            1
        };
        for row in &plot.table.rows {
            let at = index_of(&mut labels, label(&row[self.month]));
            let rider = label(&row[self.rider]);
            let Some(beside) = riders.iter().position(|(name, _)| *name == rider) else {
                continue;
            };
            bars.extend(self.bars(row, at, years, (beside, riders[beside].1)));
        }
        let any = |is: fn(&Fill) -> bool| bars.iter().any(|bar| is(&bar.fill));
        let by_rider = plot.filters.by.contains(&Dim::Rider);
        let groups = if by_rider { " and kind of rider" } else { "" };
        let compared = match years {
            1 => " (the same months a year before are not stored)",
            _ => ", and of the same month a year before",
        };
        let title = format!("Trips by month{groups}{compared}");
        let legend: Vec<(String, Colour)> = match by_rider {
            true => riders.clone(),
            false => vec![("trips of the month".into(), ALL)],
        };
        let scope = plot.scope_with(&[]);
        let mut heading = Heading::new(title, scope, &legend);
        let mut entries = Vec::new();
        if any(|fill| matches!(fill, Fill::Outline(_))) {
            entries.push(("outline: a year before".into(), Fill::Outline(SOFT)));
        }
        if any(|fill| matches!(fill, Fill::Light(_))) {
            entries.push(light_entry());
        }
        if any(|fill| matches!(fill, Fill::DashedOutline(_))) {
            let text = "dashed: a year before, not all days stored";
            entries.push((text.into(), Fill::DashedOutline(SOFT)));
        }
        heading.legend.extend(entries);
        let is_sorted = plot.filters.sort.is_some();
        Chart {
            heading,
            scale: if is_sorted {
                Scale::Named
            } else {
                Scale::Months
            },
            across_title: words::axis(Dim::Month).into(),
            up_title: plot.axis_title(self.trips),
            labels,
            beside: years * riders.len(),
            bars,
        }
        .with_legend_of_gaps()
    }

    /// Returns the bar of a row, and the outline of that of the year before. `years` is how many bars
    /// stand beside each other for a kind of riders: 1 if no row has a year before.
    fn bars(
        &self,
        row: &[Value],
        at: usize,
        years: usize,
        (beside, colour): (usize, Colour),
    ) -> Vec<Bar> {
        let number = |column: usize| row[column].number();
        let is_complete = row[self.complete] == Value::Truth(true);
        let (month, rider) = (label(&row[self.month]), label(&row[self.rider]));
        let of_rider = if rider == "all" {
            String::new()
        } else {
            format!(", {rider}")
        };
        let mut bars = Vec::new();
        let mut before_text = String::new();
        if let Some(before) = number(self.year_before) {
            let growth = number(self.growth);
            // A complete month without growth is beside one that is not complete.
            let is_before_incomplete = is_complete && growth.is_none();
            before_text = format!(", a year before {}", short(before));
            if let Some(growth) = growth {
                before_text += &format!(" ({:+.1} %)", growth * 100.0);
            }
            bars.push(Bar {
                label: at,
                beside: years * beside,
                value: before,
                fill: match is_before_incomplete {
                    true => Fill::DashedOutline(colour),
                    false => Fill::Outline(colour),
                },
                tooltip: format!("the year before {month}{of_rider}: {}", short(before)),
            });
        }
        if let Some(trips) = number(self.trips) {
            let note = if is_complete { "" } else { " (not all days)" };
            bars.push(Bar {
                label: at,
                beside: years * beside + years - 1,
                value: trips,
                fill: match is_complete {
                    true => Fill::Solid(colour),
                    false => Fill::Light(colour),
                },
                tooltip: format!("{month}{of_rider}: {}{note}{before_text}", short(trips)),
            });
        }
        bars
    }
}
