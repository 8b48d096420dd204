//! Reports of the user, each in a file `reports/NAME.toml`.
//!
//! ```toml
//! title = "When members and casual riders ride"
//! dimensions = ["weekday", "rider"]
//! measures = ["trips", "median_s"]
//! sort = "trips:desc"    # optional
//! top = 10               # optional
//!
//! [filters]              # optional: the flags of divvy report
//! from = "2024-06"
//! bike = "electric"
//! ```

use std::collections::HashSet;
use std::fmt::Display;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use anyhow::{Context, anyhow, bail};
use divvy::model::Rider;
use divvy::reports::{Dim, Filters, Measure, OwnReport, Period, REPORTS, Report};
use serde::Deserialize;
use toml::Spanned;

/// The name of all built-in reports together, which no file may have.
pub const ALL: &str = "all";

/// The folder of the files, in the current one.
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

/// Reads the report of that name. `None` if there is no such file.
///
/// # Errors
///
/// The file cannot be read, does not define a report, or has the name of a built-in one. The message
/// has its path, and the line if there is one.
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

/// Returns the path of the report of that name, whether it exists or not.
pub fn path_of(name: &str) -> PathBuf {
    Path::new(FOLDER).join(format!("{name}.toml"))
}

/// Returns whether a word may be the name of a report.
fn is_name(word: &str) -> bool {
    let plain = |c: char| c.is_alphanumeric() || c == '-' || c == '_';
    !word.is_empty() && word.chars().all(plain)
}

/// Returns whether a built-in report has the name: scripts rely on these.
fn is_taken(name: &str) -> bool {
    name == ALL || REPORTS.iter().any(|report| report.name() == name)
}

/// Lists the names of the user's reports, sorted.
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

/// A file of a report, with the positions of its values.
struct Source<'a> {
    path: &'a Path,
    text: &'a str,
}

impl Source<'_> {
    /// Returns path and line of an offset in bytes: `reports/rush.toml:3`.
    fn location(&self, offset: usize) -> String {
        let before = &self.text[..offset.min(self.text.len())];
        let line = before.matches('\n').count() + 1;
        format!("{}:{line}", self.path.display())
    }

    fn location_of<T>(&self, value: &Spanned<T>) -> String {
        self.location(value.span().start)
    }

    fn file(&self) -> anyhow::Result<File> {
        toml::from_str(self.text).map_err(|error| {
            let location = error.span().map(|span| self.location(span.start));
            let location = location.unwrap_or_else(|| self.path.display().to_string());
            anyhow!("{location}: {}", error.message().replace('\n', ": "))
        })
    }

    fn parse<T: FromStr<Err: Display>>(&self, text: &Spanned<String>) -> anyhow::Result<T> {
        let parsed = text.get_ref().parse();
        parsed.map_err(|error| anyhow!("{}: {error}", self.location_of(text)))
    }

    fn parse_some<T: FromStr<Err: Display>>(
        &self,
        text: Option<&Spanned<String>>,
    ) -> anyhow::Result<Option<T>> {
        text.map(|text| self.parse(text)).transpose()
    }

    fn parse_all<T: FromStr<Err: Display>>(
        &self,
        texts: &Spanned<Vec<Spanned<String>>>,
    ) -> anyhow::Result<Vec<T>> {
        let texts = texts.get_ref().iter();
        texts.map(|text| self.parse(text)).collect()
    }

    fn expect_distinct(&self, words: &Spanned<Vec<Spanned<String>>>) -> anyhow::Result<()> {
        let mut known = HashSet::new();
        for word in words.get_ref() {
            if !known.insert(word.get_ref()) {
                bail!(
                    "{}: \"{}\" is there twice",
                    self.location_of(word),
                    word.get_ref()
                );
            }
        }
        Ok(())
    }

    fn filters(&self, file: &File) -> anyhow::Result<Filters> {
        let filters = &file.filters;
        let from: Option<Period> = self.parse_some(filters.from.as_ref())?;
        let to: Option<Period> = self.parse_some(filters.to.as_ref())?;
        Ok(Filters {
            from: from.map(|period| period.first),
            to: to.map(|period| period.last),
            rider: filters.rider.as_deref().map(Rider::parse),
            bike: filters.bike.clone(),
            station: filters.station.clone(),
            weekdays: self.parse_some(filters.weekday.as_ref())?,
            hours: self.parse_some(filters.hour.as_ref())?,
            by: Vec::new(),
            sort: self.parse_some(file.sort.as_ref())?,
            top: file.top,
            as_of: None,
            max_unusable: None,
            areas: None,
            horizons: Vec::new(),
            arrive: None,
            need: None,
        })
    }

    fn expect_column_to_sort_by(&self, report: &OwnReport, file: &File) -> anyhow::Result<()> {
        let (Some(sort), Some(text)) = (&report.filters.sort, &file.sort) else {
            return Ok(());
        };
        let columns = report.columns();
        let names: Vec<&str> = columns.iter().map(|column| column.name).collect();
        if !names.contains(&&*sort.column) {
            bail!(
                "{}: it has no column \"{}\" to sort by: expected one of {}",
                self.location_of(text),
                sort.column,
                names.join(", ")
            );
        }
        Ok(())
    }
}

fn parse(name: &str, text: &str, path: &Path) -> anyhow::Result<OwnReport> {
    let source = Source { path, text };
    let file = source.file()?;
    let dimensions: Vec<Dim> = source.parse_all(&file.dimensions)?;
    let measures: Vec<Measure> = source.parse_all(&file.measures)?;
    source.expect_distinct(&file.dimensions)?;
    source.expect_distinct(&file.measures)?;
    if !(1..=3).contains(&dimensions.len()) {
        let location = source.location_of(&file.dimensions);
        let found = dimensions.len();
        bail!("{location}: expected one to three dimensions, found {found}");
    }
    if measures.is_empty() {
        let location = source.location_of(&file.measures);
        bail!("{location}: expected at least one measure");
    }
    let untitled = || format!("the report of {}", path.display());
    let report = OwnReport {
        name: name.into(),
        title: file.title.clone().unwrap_or_else(untitled),
        dimensions,
        measures,
        filters: source.filters(&file)?,
    };
    source.expect_column_to_sort_by(&report, &file)?;
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
    fn a_file_is_read() {
        let text = "title = \"Rush\"\ndimensions = [\"weekday\", \"rider\"]\n\
                    measures = [\"trips\", \"median_s\"]\n[filters]\nhour = \"7-9\"\n";
        let report = parse("rush", text, Path::new("reports/rush.toml")).unwrap();
        assert_eq!(report.title, "Rush");
        assert_eq!(report.dimensions, [Dim::Weekday, Dim::Rider]);
        assert_eq!(report.measures, [Measure::Trips, Measure::MedianS]);
        assert!(report.filters.hours.is_some());
    }

    #[test]
    fn an_error_has_the_line() {
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
