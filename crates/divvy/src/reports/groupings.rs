//! The reports that tell numbers of trips by group.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use async_trait::async_trait;

use super::dims::{Dim, Group, month_text, weekday_of};
use super::grouping::Groups;
use super::measures::{Around, Cell, Measure, Needs};
use super::question::{CountedGroups, left_out};
use super::{
    Column, Filter, Filters, Note, Picture, Question, Report, Shape, Table, Value, grouped, plural,
};
use crate::model::civil_date::{date_of, month_of};
use crate::model::{Flag, Flags};
use crate::store::StoreError;
use crate::tally::{FlagCounts, Spread, Totals};

/// Numbers of trips by group.
pub struct Grouping {
    name: &'static str,
    about: &'static str,
    dims: &'static [Dim],
    /// What is told, and how its column is called.
    measures: &'static [(Measure, &'static str)],
    order: Order,
    is_long: bool,
    picture: Option<Picture>,
}

/// An order of groups.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    /// That of hours, dates, names.
    Natural,
    /// The most trips first.
    Largest,
}

const SPREAD_S: [(Measure, &str); 7] = [
    (Measure::TimedTrips, "trips"),
    (Measure::MinS, "min_s"),
    (Measure::MeanS, "mean_s"),
    (Measure::MedianS, "median_s"),
    (Measure::P90S, "p90_s"),
    (Measure::P99S, "p99_s"),
    (Measure::MaxS, "max_s"),
];

const fn picture(shape: Shape, across: &'static str, up: &'static str) -> Option<Picture> {
    Some(Picture { shape, across, up })
}

/// Trips that start and stop in each hour of the day.
pub static HOURS: Grouping = Grouping {
    name: "hours",
    about: "trips that start and stop in each hour of the day",
    dims: &[Dim::Hour],
    measures: &[(Measure::Starts, "starts"), (Measure::Stops, "stops")],
    order: Order::Natural,
    is_long: false,
    picture: picture(Shape::Bars, "hour", "starts"),
};

/// Trips by weekday and rider.
pub static WEEKDAYS: Grouping = Grouping {
    name: "weekdays",
    about: "trips by weekday and kind of rider",
    dims: &[Dim::Weekday, Dim::Rider],
    measures: &[(Measure::Trips, "trips"), (Measure::PerDay, "per_day")],
    order: Order::Natural,
    is_long: false,
    picture: picture(Shape::Bars, "weekday", "per_day"),
};

/// Trips by month and rider.
pub static MONTHS: Grouping = Grouping {
    name: "months",
    about: "trips by month and kind of rider",
    dims: &[Dim::Month, Dim::Rider],
    measures: &[(Measure::Trips, "trips"), (Measure::PerDay, "per_day")],
    order: Order::Natural,
    is_long: false,
    picture: picture(Shape::Bars, "month", "trips"),
};

/// Trips by date and rider.
pub static DAYS: Grouping = Grouping {
    name: "days",
    about: "trips by date and kind of rider",
    dims: &[Dim::Date, Dim::Rider],
    measures: &[(Measure::Trips, "trips")],
    order: Order::Natural,
    is_long: true,
    picture: picture(Shape::Line, "date", "trips"),
};

/// The spread of durations by rider.
pub static DURATIONS: Grouping = Grouping {
    name: "durations",
    about: "how long trips take, by kind of rider: mean, median, tails",
    dims: &[Dim::Rider],
    measures: &SPREAD_S,
    order: Order::Natural,
    is_long: false,
    picture: picture(Shape::Histogram, "duration", "trips"),
};

/// Trips by rider and kind of bike.
pub static RIDERS: Grouping = Grouping {
    name: "riders",
    about: "trips by kind of rider and kind of bike",
    dims: &[Dim::Rider, Dim::Bike],
    measures: &[(Measure::Trips, "trips"), (Measure::Share, "share")],
    order: Order::Largest,
    is_long: false,
    picture: picture(Shape::Bars, "bike", "trips"),
};

/// Trips by gender and rider.
pub static GENDERS: Grouping = Grouping {
    name: "genders",
    about: "trips by gender and kind of rider, where files tell them (before 2020)",
    dims: &[Dim::Gender, Dim::Rider],
    measures: &[(Measure::Trips, "trips"), (Measure::Share, "share")],
    order: Order::Natural,
    is_long: false,
    picture: picture(Shape::Bars, "gender", "trips"),
};

/// Trips by year of birth, age and rider.
pub static AGES: Grouping = Grouping {
    name: "ages",
    about: "trips by year of birth, age in the year of the trip and kind of rider (before 2020)",
    dims: &[Dim::BirthYear, Dim::Age, Dim::Rider],
    measures: &[(Measure::Trips, "trips")],
    order: Order::Natural,
    is_long: true,
    picture: picture(Shape::Bars, "age", "trips"),
};

/// Distances between the ends of trips by rider.
pub static DISTANCE: Grouping = Grouping {
    name: "distance",
    about: "how far apart trips start and end, by kind of rider: a lower bound of the way ridden",
    dims: &[Dim::Rider],
    measures: &[
        (Measure::PlacedTrips, "trips"),
        (Measure::MeanM, "mean_m"),
        (Measure::MedianM, "median_m"),
        (Measure::P90M, "p90_m"),
        (Measure::MaxM, "max_m"),
    ],
    order: Order::Natural,
    is_long: false,
    picture: None,
};

/// Trips away from stations.
pub static DOCKLESS: Grouping = Grouping {
    name: "dockless",
    about: "trips that start or end away from stations, by kind of rider and kind of bike",
    dims: &[Dim::Rider, Dim::Bike],
    measures: &[
        (Measure::Trips, "trips"),
        (Measure::NoOrigin, "no_origin"),
        (Measure::NoDestination, "no_destination"),
        (Measure::Dockless, "dockless"),
        (Measure::DocklessShare, "share"),
    ],
    order: Order::Largest,
    is_long: false,
    picture: picture(Shape::Bars, "bike", "dockless"),
};

/// Trips that end where they start.
pub static ROUND_TRIPS: Grouping = Grouping {
    name: "roundtrips",
    about: "trips that end at the station where they start, by kind of rider and kind of bike",
    dims: &[Dim::Rider, Dim::Bike],
    measures: &[
        (Measure::Trips, "trips"),
        (Measure::RoundTrips, "round_trips"),
        (Measure::RoundTripShare, "share"),
    ],
    order: Order::Largest,
    is_long: false,
    picture: picture(Shape::Bars, "bike", "round_trips"),
};

#[async_trait]
impl Report for Grouping {
    fn name(&self) -> &str {
        self.name
    }

    fn about(&self) -> &str {
        self.about
    }

    fn takes(&self) -> &'static [Filter] {
        &Filter::ALL
    }

    fn groups_by(&self) -> &'static [Dim] {
        &Dim::ALL
    }

    fn columns(&self) -> Vec<Column> {
        columns(self.dims, self.measures)
    }

    fn definitions(&self) -> Vec<(&'static str, &'static str)> {
        definitions(self.dims, self.measures)
    }

    fn is_long(&self) -> bool {
        self.is_long
    }

    fn picture(&self) -> Option<Picture> {
        self.picture
    }

    async fn answer(&self, question: &Question<'_>) -> Result<Table, StoreError> {
        let by = &question.filters.by;
        let dims = if by.is_empty() { self.dims } else { by };
        answer(question, dims, self.measures, self.order).await
    }
}

/// Lists the columns of groups and what is told of them.
pub(super) fn columns(dims: &[Dim], measures: &[(Measure, &'static str)]) -> Vec<Column> {
    let told = measures.iter().map(|(measure, name)| Column {
        name,
        ..measure.column()
    });
    dims.iter()
        .flat_map(|dim| dim.columns())
        .chain(told)
        .collect()
}

/// Says what each column means.
pub(super) fn definitions(
    dims: &[Dim],
    measures: &[(Measure, &'static str)],
) -> Vec<(&'static str, &'static str)> {
    let groups = dims.iter().flat_map(|dim| {
        let names = dim.columns().into_iter().map(|column| column.name);
        names.map(|name| (name, dim.definition(name)))
    });
    let told = measures
        .iter()
        .map(|(measure, name)| (*name, measure.definition()));
    groups.chain(told).collect()
}

/// Answers with a row a group.
pub(super) async fn answer(
    question: &Question<'_>,
    dims: &[Dim],
    measures: &[(Measure, &'static str)],
    order: Order,
) -> Result<Table, StoreError> {
    let mut needs = Needs::default();
    for (measure, _) in measures {
        measure.needs(&mut needs);
    }
    let CountedGroups {
        counted,
        mut groups,
        places,
    } = question.grouped(dims, needs).await?;
    let known = &counted.known.totals;
    if dims == [Dim::Hour] && question.filters.hours.is_none() {
        for hour in 0..24 {
            groups.cells.entry(vec![Group::Number(hour)]).or_default();
        }
    }
    let mut notes = question.scope(&counted, question.filters);
    notes.extend(untimed(
        &groups,
        needs,
        counted.trips.is_none().then_some(&known.flags),
    ));
    let lost = known.flags.get(Flag::NoOrigin);
    if counted.with_origin && question.filters.to_string().is_empty() && lost != 0 {
        let lost = plural(lost, "trip");
        notes.push(Note::Scope(format!(
            "{lost} without an origin: at no station"
        )));
    }
    let all_trips = groups.cells.values().map(|cell| cell.trips).sum();
    let days = Days::new(dims, question.filters, known);
    let mut rows: Vec<(Vec<Group>, Cell)> = groups.cells.into_iter().collect();
    let says_of_all =
        (needs.durations || needs.distances) && matches!(dims, [dim] if dim.is_named());
    if says_of_all {
        let mut all = Cell::default();
        for (_, cell) in &rows {
            all.add(cell);
        }
        rows.push((vec![Group::All], all));
    }
    // Stations have no order of their own that means anything.
    let by_size = order == Order::Largest || dims.contains(&Dim::Station);
    if by_size && !dims.iter().any(|dim| dim.is_of_day() || *dim == Dim::Hour) {
        rows.sort_by_key(|(_, cell)| Reverse(cell.trips)); // stable: equal ones stay in their order
    }
    let says_nothing = |spreads: &[Option<Spread>; 2]| {
        measures.iter().all(|(measure, _)| {
            let mut needs = Needs::default();
            measure.needs(&mut needs);
            needs.durations && spreads[0].is_none() || needs.distances && spreads[1].is_none()
        })
    };
    let rows = rows.iter().filter_map(|(key, cell)| {
        let spreads = [&cell.durations, &cell.distances].map(|values| {
            let values: Vec<(i64, i64)> = values.iter().map(|(value, n)| (*value, *n)).collect();
            Spread::of(&values)
        });
        if says_nothing(&spreads) {
            return None;
        }
        let around = Around {
            all_trips,
            days: days.like(dims, key),
        };
        let groups = dims
            .iter()
            .zip(key)
            .flat_map(|(dim, group)| match (dim, group) {
                (Dim::Station, Group::Number(place)) => {
                    let place = &places[*place as usize];
                    let name = place.name(known).map(str::to_owned);
                    vec![place.id.as_str().into(), name.into()]
                }
                (Dim::Station, _) => vec![Value::Empty, Value::Empty],
                (dim, group) => vec![group.value(*dim)],
            });
        let told = (measures.iter()).map(|(measure, _)| measure.value(cell, &spreads, &around));
        Some(groups.chain(told).collect())
    });
    let rows = rows.collect();
    Ok(Table::of(columns(dims, measures), rows, notes).told(counted.how))
}

/// Says how many of the counted trips have no duration or distance worth counting. `known` are the
/// flags of all trips, where all are counted.
fn untimed(groups: &Groups, needs: Needs, known: Option<&FlagCounts>) -> Vec<Note> {
    let cells = groups.cells.values();
    let trips: i64 = cells.clone().map(|cell| cell.trips).sum();
    let timed: i64 = cells.clone().flat_map(|cell| cell.durations.values()).sum();
    let placed: i64 = cells.flat_map(|cell| cell.distances.values()).sum();
    let flags = known.or(groups.flags.as_ref());
    let mut notes = Vec::new();
    if needs.durations {
        let why = Flags::IMPLAUSIBLE_DURATION;
        notes.extend(left_out(why, trips - timed, flags));
    }
    if needs.distances && trips > placed {
        let far = flags.map_or(0, |flags| flags.get(Flag::FarAway));
        notes.push(Note::Scope(format!(
            "{} left out: {} without coordinates at both ends, {} far_away",
            plural(trips - placed, "trip"),
            grouped(trips - placed - far),
            grouped(far),
        )));
    }
    notes
}

/// How many days there are of each kind: rates are by the day.
struct Days(BTreeMap<Vec<i32>, i64>);

impl Days {
    /// Counts the days with a stored trip that the filters let through: a gap between archives is
    /// no service.
    fn new(dims: &[Dim], filters: &Filters, known: &Totals) -> Self {
        let mut days: BTreeMap<Vec<i32>, i64> = BTreeMap::new();
        for day in known.days.0.keys().filter(|day| filters.has_day(**day)) {
            let key = dims.iter().filter_map(|dim| of_day(*dim, *day)).collect();
            *days.entry(key).or_default() += 1;
        }
        Self(days)
    }

    /// Returns how many days are of the kind that a group is of.
    fn like(&self, dims: &[Dim], key: &[Group]) -> i64 {
        let key = dims.iter().zip(key).filter_map(|(dim, group)| match group {
            Group::Number(number) if dim.is_of_day() => Some(*number),
            _ => None,
        });
        let key: Vec<i32> = key.collect();
        self.0.get(&key).copied().unwrap_or(0)
    }
}

fn of_day(dim: Dim, day: i32) -> Option<i32> {
    match dim {
        Dim::Year => Some(date_of(day).year().into()),
        Dim::Month => Some(month_of(day)),
        Dim::Date => Some(day),
        Dim::Weekday => Some(weekday_of(day)),
        _ => None,
    }
}

/// Trips by month beside those of a year before.
pub struct Growth;

#[async_trait]
impl Report for Growth {
    fn name(&self) -> &str {
        "growth"
    }

    fn about(&self) -> &str {
        "trips by month beside the same month a year before"
    }

    fn takes(&self) -> &'static [Filter] {
        &Filter::ALL
    }

    fn groups_by(&self) -> &'static [Dim] {
        &[Dim::Month, Dim::Rider]
    }

    fn columns(&self) -> Vec<Column> {
        use super::Kind;
        vec![
            Column::new("month", Kind::Date),
            Column::new("rider", Kind::Text),
            Column::new("trips", Kind::Count),
            Column::new("year_before", Kind::Count),
            Column::new("growth", Kind::Share),
        ]
    }

    fn definitions(&self) -> Vec<(&'static str, &'static str)> {
        vec![
            ("month", Dim::Month.definition("month")),
            (
                "rider",
                "all riders together, or with --by rider each kind by itself",
            ),
            ("trips", "stored trips that start in the month"),
            (
                "year_before",
                "trips of the same month a year before; empty where none are stored",
            ),
            ("growth", "trips / year_before - 1: 0.25 for a quarter more"),
        ]
    }

    fn picture(&self) -> Option<Picture> {
        picture(Shape::Bars, "month", "trips")
    }

    async fn answer(&self, question: &Question<'_>) -> Result<Table, StoreError> {
        // A year before may lie before the first date that is asked for.
        let filters = Filters {
            from: None,
            to: None,
            ..question.filters.clone()
        };
        let wider = Question {
            filters: &filters,
            zone: question.zone.clone(),
            ..*question
        };
        let dims: &[Dim] = match question.filters.by.contains(&Dim::Rider) {
            true => &[Dim::Month, Dim::Rider],
            false => &[Dim::Month],
        };
        let CountedGroups {
            mut counted,
            groups,
            ..
        } = wider.grouped(dims, Needs::default()).await?;
        let (first, last) = question.filters.days();
        let months = month_of(first)..=month_of(last);
        let cells = &groups.cells;
        let mut trips = 0;
        let mut rows = Vec::new();
        for (key, cell) in cells {
            let Group::Number(month) = key[0] else {
                continue;
            };
            if !months.contains(&month) {
                continue;
            }
            trips += cell.trips;
            let mut before = key.clone();
            before[0] = Group::Number(month - 12);
            let before = cells
                .get(&before)
                .map(|cell| cell.trips)
                .filter(|n| *n != 0);
            let growth = before.map(|before| cell.trips as f64 / before as f64 - 1.0);
            rows.push(vec![
                month_text(month).into(),
                match key.get(1) {
                    Some(rider) => rider.value(Dim::Rider),
                    None => "all".into(),
                },
                cell.trips.into(),
                before.into(),
                growth
                    .map(|growth| super::measures::rounded(growth, 1e6))
                    .into(),
            ]);
        }
        if !question.filters.to_string().is_empty() {
            counted.trips = Some(trips);
        }
        // Months are counted whole: so the scope says.
        let whole = Filters {
            from: question.filters.from.map(|date| date.first_of_month()),
            to: question.filters.to.map(|date| date.last_of_month()),
            ..question.filters.clone()
        };
        let mut notes = question.scope(&counted, &whole);
        if let Some((first, last)) = counted.known.totals.days.range() {
            let cut = |day: i32, ends: bool| {
                let date = date_of(day);
                let whole = if ends {
                    date == date.last_of_month()
                } else {
                    date.day() == 1
                };
                let shown = months.contains(&month_of(day));
                (!whole && shown).then(|| month_text(month_of(day)))
            };
            let cut = [cut(first, false), cut(last, true)];
            let mut cut: Vec<String> = cut.into_iter().flatten().collect();
            cut.dedup();
            if !cut.is_empty() {
                notes.push(Note::Warning(format!(
                    "not all days of {} are stored: compare such a month with care",
                    cut.join(" and "),
                )));
            }
        }
        Ok(Table::of(self.columns(), rows, notes).told(counted.how))
    }
}
