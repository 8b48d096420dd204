//! The figures at the top of a page, read from the answers of its reports.

use std::cmp::Reverse;

use divvy::reports::{Dim, Measure, Role, Table, Value, ValueKind, grouped, plural};

use super::super::people;

/// A figure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Headline {
    /// What it is.
    pub label: &'static str,
    /// The figure, with its unit.
    pub value: String,
    /// What belongs to it. Empty for nothing.
    pub detail: String,
}

/// The answers of reports, each with the report's name.
type Answers<'a> = [(&'a str, &'a Table)];

/// Returns the figures that the answers have.
pub fn headlines(answers: &Answers<'_>) -> Vec<Headline> {
    let figures = [
        trips,
        dates,
        busiest_hour,
        busiest_station,
        members,
        median,
        growth,
    ];
    figures
        .iter()
        .filter_map(|figure| figure(answers))
        .collect()
}

fn table<'a>(answers: &Answers<'a>, report: &str) -> Option<&'a Table> {
    let found = answers.iter().find(|(name, _)| *name == report);
    found.map(|(_, table)| *table)
}

fn column(table: &Table, role: Role) -> Option<usize> {
    table.columns.iter().position(|column| column.role == role)
}

fn named(table: &Table, name: &str) -> Option<usize> {
    table.columns.iter().position(|column| column.name == name)
}

/// Adds up a column of the rows that are let through.
fn sum(table: &Table, at: usize, is_counted: impl Fn(&[Value]) -> bool) -> f64 {
    let rows = table.rows.iter().filter(|row| is_counted(row));
    rows.filter_map(|row| row[at].number()).sum()
}

fn trips(answers: &Answers<'_>) -> Option<Headline> {
    let scope = table(answers, "hours")?.scope.as_ref()?;
    Some(Headline {
        label: "Trips",
        value: grouped(scope.counted.unwrap_or(scope.stored)),
        detail: match scope.counted {
            Some(_) => format!("of {} stored", plural(scope.stored, "trip")),
            None => format!("from {}", plural(scope.archives.len() as i64, "archive")),
        },
    })
}

fn dates(answers: &Answers<'_>) -> Option<Headline> {
    let days = table(answers, "days")?;
    let at = column(days, Role::Group(Dim::Date))?;
    let dates = days.rows.iter().filter_map(|row| match &row[at] {
        Value::Text(date) => Some(date.as_str()),
        _ => None,
    });
    let (first, last) = (dates.clone().min()?, dates.clone().max()?);
    let mut with_trips: Vec<&str> = dates.collect();
    with_trips.dedup();
    Some(Headline {
        label: "Dates",
        value: format!("{first} to {last}"),
        detail: format!("{} with trips", plural(with_trips.len() as i64, "day")),
    })
}

fn busiest_hour(answers: &Answers<'_>) -> Option<Headline> {
    let hours = table(answers, "hours")?;
    let hour = column(hours, Role::Group(Dim::Hour))?;
    let starts = column(hours, Role::Measure(Measure::Starts))?;
    let rows = hours.rows.iter();
    let rows = rows.filter_map(|row| Some((row[starts].number()?, row[hour].number()?)));
    let (trips, hour) = rows
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .filter(|it| it.0 > 0.0)?;
    Some(Headline {
        label: "Busiest hour",
        value: format!("{hour}:00 to {}:00", hour + 1.0),
        detail: format!("{} start", plural(trips as i64, "trip")),
    })
}

fn busiest_station(answers: &Answers<'_>) -> Option<Headline> {
    let stations = table(answers, "stations")?;
    let name = column(stations, Role::Group(Dim::Station))?;
    let id = column(stations, Role::StationId)?;
    let trips = column(stations, Role::Measure(Measure::Trips))?;
    let rows = stations.rows.iter();
    let rows = rows.filter_map(|row| Some((row[trips].number().filter(|n| *n > 0.0)?, row)));
    let (n, row) = rows.max_by(|a, b| a.0.total_cmp(&b.0))?;
    let text = |at: usize| people::text(ValueKind::Name, &row[at]);
    Some(Headline {
        label: "Busiest station",
        value: if text(name).is_empty() {
            text(id)
        } else {
            text(name)
        },
        detail: format!("{} start there", plural(n as i64, "trip")),
    })
}

fn members(answers: &Answers<'_>) -> Option<Headline> {
    let riders = table(answers, "riders")?;
    let rider = column(riders, Role::Group(Dim::Rider))?;
    let trips = column(riders, Role::Measure(Measure::Trips))?;
    let of = |name: &str| sum(riders, trips, |row| row[rider] == Value::Text(name.into()));
    let (members, casual) = (of("member"), of("casual"));
    // With trips of one kind of rider alone a share is always 100 %.
    (members > 0.0 && casual > 0.0).then(|| Headline {
        label: "Share of members",
        value: format!("{:.1} %", 100.0 * members / (members + casual)),
        detail: format!("{} by casual riders", plural(casual as i64, "trip")),
    })
}

fn median(answers: &Answers<'_>) -> Option<Headline> {
    let durations = table(answers, "durations")?;
    let rider = column(durations, Role::Group(Dim::Rider))?;
    let median = column(durations, Role::Measure(Measure::MedianS))?;
    let of = |name: &str| {
        let row = durations.rows.iter();
        let mut row = row.filter(|row| row[rider] == Value::Text(name.into()));
        row.next()
            .map(|row| people::text(ValueKind::Seconds, &row[median]))
    };
    let value = of("all").filter(|value| !value.is_empty())?;
    let kinds = [("members", "member"), ("casual riders", "casual")];
    let kinds = kinds
        .iter()
        .filter_map(|(kind, name)| Some(format!("{kind} {}", of(name)?)));
    let detail = kinds.collect::<Vec<_>>().join(", ");
    Some(Headline {
        label: "Median trip",
        value,
        detail,
    })
}

/// Compares the last months, at most twelve, that can be compared with the year before.
fn growth(answers: &Answers<'_>) -> Option<Headline> {
    let table = table(answers, "growth")?;
    let month = column(table, Role::Group(Dim::Month))?;
    let trips = column(table, Role::Measure(Measure::Trips))?;
    let (before, growth) = (named(table, "year_before")?, named(table, "growth")?);
    let comparable = table
        .rows
        .iter()
        .filter(|row| row[growth].number().is_some());
    let mut comparable: Vec<&Vec<Value>> = comparable.collect();
    let text = |row: &Vec<Value>| people::text(ValueKind::Date, &row[month]);
    comparable.sort_by_key(|row| Reverse(text(row)));
    comparable.truncate(12);
    let sum = |at: usize| -> f64 { comparable.iter().filter_map(|row| row[at].number()).sum() };
    let (trips, before) = (sum(trips), sum(before));
    let (last, first) = (comparable.first()?, comparable.last()?);
    let (first, last) = (text(first), text(last));
    let months = match comparable.len() {
        1 => last,
        n => format!("{n} months, {first} to {last},"),
    };
    (before > 0.0).then(|| Headline {
        label: "Growth over a year",
        value: format!("{:+.1} %", 100.0 * (trips / before - 1.0)).replace('-', "−"),
        detail: format!("{months} against the same a year before"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use divvy::reports::{Column, REPORTS};

    /// An answer of a report with the values of some of its columns.
    fn answer(report: &str, rows: &[&[(&str, Value)]]) -> Table {
        let report = REPORTS.iter().find(|it| it.name() == report).unwrap();
        let columns: Vec<Column> = report.columns();
        let value = |row: &[(&str, Value)], column: &Column| {
            let found = row.iter().find(|(name, _)| *name == column.name);
            found.map_or(Value::Empty, |(_, value)| value.clone())
        };
        let rows = rows.iter();
        let rows = rows.map(|row| columns.iter().map(|column| value(row, column)).collect());
        let rows = rows.collect();
        Table::of(columns, rows, Vec::new())
    }

    #[test]
    fn figures_are_those_of_the_reports() {
        let text = |text: &str| Value::from(text);
        let riders = answer(
            "riders",
            &[
                &[("rider", text("member")), ("trips", 70_i64.into())],
                &[("rider", text("casual")), ("trips", 20_i64.into())],
                &[("rider", text("member")), ("trips", 10_i64.into())],
                &[("rider", text("unknown")), ("trips", 900_i64.into())],
            ],
        );
        let growth = answer(
            "growth",
            &[
                &[("month", text("2021-01")), ("trips", 50_i64.into())],
                &[
                    ("month", text("2022-01")),
                    ("trips", 75_i64.into()),
                    ("year_before", 50_i64.into()),
                    ("growth", 0.5.into()),
                ],
            ],
        );
        let hours = answer(
            "hours",
            &[
                &[("hour", 8_i64.into()), ("starts", 5_i64.into())],
                &[("hour", 17_i64.into()), ("starts", 9_i64.into())],
            ],
        );
        let found = headlines(&[("riders", &riders), ("growth", &growth), ("hours", &hours)]);
        let found = found
            .iter()
            .map(|it| format!("{}: {} ({})", it.label, it.value, it.detail));
        insta::assert_snapshot!(found.collect::<Vec<_>>().join("\n"), @"
        Busiest hour: 17:00 to 18:00 (9 trips start)
        Share of members: 80.0 % (20 trips by casual riders)
        Growth over a year: +50.0 % (2022-01 against the same a year before)
        ");
    }

    #[test]
    fn empty_reports_have_no_figures() {
        let tables: Vec<(&str, Table)> = REPORTS
            .iter()
            .map(|it| (it.name(), answer(it.name(), &[])))
            .collect();
        let tables: Vec<(&str, &Table)> = tables.iter().map(|(name, it)| (*name, it)).collect();
        assert_eq!(headlines(&tables), []);
    }
}
