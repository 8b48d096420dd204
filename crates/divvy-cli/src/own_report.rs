//! Reports of one's own, each in a file: `reports/NAME.toml`.
//!
//! ```toml
//! title = "When members and casual riders ride"
//! dimensions = ["weekday", "rider"]
//! measures = ["trips", "median_s"]
//! sort = "trips:desc"    # optional
//! top = 10               # optional
//!
//! [filters]              # optional: as the flags of divvy report
//! from = "2024-06"
//! bike = "electric"
//! ```

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use divvy::model::Rider;
use divvy::reports::{Dim, Filters, Measure, OwnReport, Period, REPORTS, Report};
use serde::Deserialize;
use toml::Spanned;

/// The folder in which they are looked for, below the present one.
const FOLDER: &str = "reports";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    title: Option<String>,
    dimensions: Spanned<Vec<Spanned<String>>>,
    measures: Spanned<Vec<Spanned<String>>>,
    sort: Option<Spanned<String>>,
    top: Option<usize>,
    #[serde(default)]
    filters: FileFilters,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct FileFilters {
    from: Option<Spanned<String>>,
    to: Option<Spanned<String>>,
    rider: Option<String>,
    bike: Option<String>,
    station: Option<String>,
    weekday: Option<Spanned<String>>,
    hour: Option<Spanned<String>>,
}

/// Reads the report of that name. `None` where there is no such file.
///
/// # Errors
///
/// A sentence that names the file and the line at fault.
pub fn read(name: &str) -> anyhow::Result<Option<OwnReport>> {
    if !is_name(name) {
        return Ok(None);
    }
    let path = path_of(name);
    if !path.is_file() {
        return Ok(None);
    }
    if is_taken(name) {
        bail!(
            "{}: there is a report \"{name}\" already: give your own another name",
            path.display()
        );
    }
    let text = std::fs::read_to_string(&path)
        .with_context(|| format!("cannot read {}", path.display()))?;
    parse(name, &text, &path).map(Some)
}

/// Where the report of that name is, if there is one.
pub fn path_of(name: &str) -> PathBuf {
    Path::new(FOLDER).join(format!("{name}.toml"))
}

/// Tells whether a word may be the name of a report.
fn is_name(word: &str) -> bool {
    let plain = |c: char| c.is_alphanumeric() || c == '-' || c == '_';
    !word.is_empty() && word.chars().all(plain)
}

/// Tells whether it is the name of a report that everybody has: scripts rely on these.
fn is_taken(name: &str) -> bool {
    name == "all" || REPORTS.iter().any(|report| report.name() == name)
}

/// Lists the names of the reports that there are files of.
pub fn names() -> Vec<String> {
    let files = std::fs::read_dir(FOLDER).into_iter().flatten().flatten();
    let paths = files.map(|file| file.path());
    let is_toml = |path: &PathBuf| path.extension().is_some_and(|ending| ending == "toml");
    let mut names: Vec<String> = paths
        .filter(is_toml)
        .filter_map(|path| Some(path.file_stem()?.to_str()?.to_owned()))
        .filter(|name| is_name(name) && !is_taken(name))
        .collect();
    names.sort();
    names
}

fn parse(name: &str, text: &str, path: &Path) -> anyhow::Result<OwnReport> {
    let at = |offset: usize| {
        let line = text[..offset.min(text.len())].matches('\n').count() + 1;
        format!("{}:{line}", path.display())
    };
    let file: File = match toml::from_str(text) {
        Ok(file) => file,
        Err(error) => {
            let place = error
                .span()
                .map_or(path.display().to_string(), |span| at(span.start));
            bail!("{place}: {}", error.message().replace('\n', ": "));
        }
    };
    fn read<T>(text: &Spanned<String>, at: &dyn Fn(usize) -> String) -> anyhow::Result<T>
    where
        T: std::str::FromStr,
        T::Err: std::fmt::Display,
    {
        text.get_ref()
            .parse()
            .map_err(|error| anyhow::anyhow!("{}: {error}", at(text.span().start)))
    }
    let dimensions = file.dimensions.get_ref().iter();
    let dimensions: Vec<Dim> = dimensions
        .map(|dim| read(dim, &at))
        .collect::<Result<_, _>>()?;
    let measures = file.measures.get_ref().iter();
    let measures: Vec<Measure> = measures.map(|it| read(it, &at)).collect::<Result<_, _>>()?;
    for words in [&file.dimensions, &file.measures] {
        let words = words.get_ref();
        for (place, word) in words.iter().enumerate() {
            if words[..place]
                .iter()
                .any(|other| other.get_ref() == word.get_ref())
            {
                bail!(
                    "{}: \"{}\" is there twice",
                    at(word.span().start),
                    word.get_ref()
                );
            }
        }
    }
    if !(1..=3).contains(&dimensions.len()) {
        let place = at(file.dimensions.span().start);
        bail!(
            "{place}: expected one to three dimensions, found {}",
            dimensions.len()
        );
    }
    if measures.is_empty() {
        bail!(
            "{}: expected at least one measure",
            at(file.measures.span().start)
        );
    }
    let period = |text: &Option<Spanned<String>>| -> anyhow::Result<Option<Period>> {
        text.as_ref().map(|text| read(text, &at)).transpose()
    };
    let filters = Filters {
        from: period(&file.filters.from)?.map(|period| period.first),
        to: period(&file.filters.to)?.map(|period| period.last),
        rider: file.filters.rider.as_deref().map(Rider::parse),
        bike: file.filters.bike,
        station: file.filters.station,
        weekdays: (file.filters.weekday.as_ref())
            .map(|text| read(text, &at))
            .transpose()?,
        hours: (file.filters.hour.as_ref())
            .map(|text| read(text, &at))
            .transpose()?,
        by: Vec::new(),
        sort: file.sort.as_ref().map(|sort| read(sort, &at)).transpose()?,
        top: file.top,
    };
    let report = OwnReport {
        name: name.into(),
        title: file
            .title
            .unwrap_or_else(|| format!("the report of {}", path.display())),
        dimensions,
        measures,
        filters,
    };
    if let (Some(sort), Some(text)) = (&report.filters.sort, &file.sort) {
        let columns = report.columns();
        let names: Vec<&str> = columns.iter().map(|column| column.name).collect();
        if !names.contains(&&*sort.column) {
            bail!(
                "{}: it has no column \"{}\" to sort by: expected one of {}",
                at(text.span().start),
                sort.column,
                names.join(", ")
            );
        }
    }
    Ok(report)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refuse(text: &str) -> String {
        let parsed = parse("mine", text, Path::new("reports/mine.toml"));
        parsed.unwrap_err().to_string()
    }

    #[test]
    fn a_report_of_ones_own_is_a_few_lines() {
        let text = "title = \"Rush\"\ndimensions = [\"weekday\", \"rider\"]\n\
                    measures = [\"trips\", \"median_s\"]\n[filters]\nhour = \"7-9\"\n";
        let report = parse("rush", text, Path::new("reports/rush.toml")).unwrap();
        assert_eq!(report.title, "Rush");
        assert_eq!(report.dimensions, [Dim::Weekday, Dim::Rider]);
        assert_eq!(report.measures, [Measure::Trips, Measure::MedianS]);
        assert!(report.filters.hours.is_some());
    }

    #[test]
    fn a_broken_file_is_told_by_its_line() {
        insta::assert_snapshot!(refuse("dimensions = [\"weekday\"\nmeasures = [\"trips\"]"), @"reports/mine.toml:2: missing comma between array elements, expected `,`");
        insta::assert_snapshot!(refuse("dimensions = [\"colour\"]\nmeasures = [\"trips\"]"), @r#"reports/mine.toml:1: trips cannot be grouped by "colour": expected one of rider, bike, gender, birth_year, age, year, month, date, weekday, hour, station"#);
        insta::assert_snapshot!(refuse("dimensions = [\"rider\"]\nmeasures = [\n\"trips\",\n\"joy\"]"), @r#"reports/mine.toml:4: there is no measure "joy": expected one of trips, share, per_day, stops, no_origin, no_destination, dockless, dockless_share, round_trips, round_trip_share, timed_trips, min_s, mean_s, median_s, p90_s, p99_s, max_s, placed_trips, mean_m, median_m, p90_m, max_m"#);
        insta::assert_snapshot!(refuse("dimensions = [\"rider\"]\nmeasures = [\"trips\"]\ntitel = \"x\""), @"reports/mine.toml:3: unknown field `titel`, expected one of `title`, `dimensions`, `measures`, `sort`, `top`, `filters`");
        insta::assert_snapshot!(refuse("dimensions = [\"rider\"]\nmeasures = [\"trips\"]\n[filters]\nfrom = \"06/2024\""), @"reports/mine.toml:4: expected a date like 2024-06-30, a month like 2024-06 or a year like 2024");
        insta::assert_snapshot!(refuse("dimensions = [\"hour\", \"hour\"]\nmeasures = [\"trips\"]"), @r#"reports/mine.toml:1: "hour" is there twice"#);
        insta::assert_snapshot!(refuse("dimensions = [\"hour\"]\nmeasures = [\"trips\"]\nsort = \"joy:asc\""), @r#"reports/mine.toml:3: it has no column "joy" to sort by: expected one of hour, trips"#);
        insta::assert_snapshot!(refuse("dimensions = []\nmeasures = [\"trips\"]"), @"reports/mine.toml:1: expected one to three dimensions, found 0");
    }
}
