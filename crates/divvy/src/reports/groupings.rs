//! The reports of numbers of trips by group.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use async_trait::async_trait;

use super::dims::{Dim, Group};
use super::grouping::{Groups, Unplaced};
use super::measures::{Context, GroupCounts, Measure, Needs};
use super::places::Place;
use super::question::{Counted, CountedGroups, left_out};
use super::{Column, Filter, Filters, Note, Picture, Question, Report, Table, Value, plural};
use crate::model::{Flag, Flags};
use crate::store::StoreError;
use crate::tally::{FlagCounts, Spread, Totals};

/// Numbers of trips by group.
pub struct Grouping {
    name: &'static str,
    about: &'static str,
    dims: &'static [Dim],
    /// The measures, each with the name of its column.
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

const fn bars(across: Dim, up: Measure) -> Option<Picture> {
    Some(Picture::Bars { across, up })
}

/// Departures and arrivals in each hour of the day.
pub static HOURS: Grouping = Grouping {
    name: "hours",
    about: "departures and arrivals in each hour of the day",
    dims: &[Dim::Hour],
    measures: &[(Measure::Starts, "starts"), (Measure::Stops, "stops")],
    order: Order::Natural,
    is_long: false,
    picture: bars(Dim::Hour, Measure::Starts),
};

/// Trips by weekday and rider.
pub static WEEKDAYS: Grouping = Grouping {
    name: "weekdays",
    about: "trips by weekday and kind of rider",
    dims: &[Dim::Weekday, Dim::Rider],
    measures: &[(Measure::Trips, "trips"), (Measure::PerDay, "per_day")],
    order: Order::Natural,
    is_long: false,
    picture: bars(Dim::Weekday, Measure::PerDay),
};

/// Trips by month and rider.
pub static MONTHS: Grouping = Grouping {
    name: "months",
    about: "trips by month and kind of rider",
    dims: &[Dim::Month, Dim::Rider],
    measures: &[(Measure::Trips, "trips"), (Measure::PerDay, "per_day")],
    order: Order::Natural,
    is_long: false,
    picture: bars(Dim::Month, Measure::Trips),
};

/// Trips by date and rider.
pub static DAYS: Grouping = Grouping {
    name: "days",
    about: "trips by date and kind of rider",
    dims: &[Dim::Date, Dim::Rider],
    measures: &[(Measure::Trips, "trips")],
    order: Order::Natural,
    is_long: true,
    picture: Some(Picture::Line {
        across: Dim::Date,
        up: Measure::Trips,
    }),
};

/// The spread of durations by rider.
pub static DURATIONS: Grouping = Grouping {
    name: "durations",
    about: "how long trips take, by kind of rider: mean, median, tails",
    dims: &[Dim::Rider],
    measures: &SPREAD_S,
    order: Order::Natural,
    is_long: false,
    picture: Some(Picture::Histogram),
};

/// Trips by rider and kind of bike.
pub static RIDERS: Grouping = Grouping {
    name: "riders",
    about: "trips by kind of rider and kind of bike",
    dims: &[Dim::Rider, Dim::Bike],
    measures: &[(Measure::Trips, "trips"), (Measure::Share, "share")],
    order: Order::Largest,
    is_long: false,
    picture: bars(Dim::Bike, Measure::Trips),
};

/// Trips by gender and rider.
pub static GENDERS: Grouping = Grouping {
    name: "genders",
    about: "trips by gender and kind of rider, where files state it (before 2020)",
    dims: &[Dim::Gender, Dim::Rider],
    measures: &[(Measure::Trips, "trips"), (Measure::Share, "share")],
    order: Order::Natural,
    is_long: false,
    picture: bars(Dim::Gender, Measure::Trips),
};

/// Trips by year of birth, age and rider.
pub static AGES: Grouping = Grouping {
    name: "ages",
    about: "trips by year of birth, age in the year of the trip (1 to 100) and kind of rider (before \
            2020)",
    dims: &[Dim::BirthYear, Dim::Age, Dim::Rider],
    measures: &[(Measure::Trips, "trips")],
    order: Order::Natural,
    is_long: true,
    picture: bars(Dim::Age, Measure::Trips),
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
    picture: bars(Dim::Rider, Measure::MedianM),
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
    picture: bars(Dim::Bike, Measure::Dockless),
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
    picture: bars(Dim::Bike, Measure::RoundTrips),
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
        &Filter::OF_TRIPS
    }

    fn groups_by(&self) -> &'static [Dim] {
        &Dim::ALL
    }

    fn columns(&self) -> Vec<Column> {
        columns(self.dims, self.measures)
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

/// Lists the columns of groups and their measures.
pub(super) fn columns(dims: &[Dim], measures: &[(Measure, &'static str)]) -> Vec<Column> {
    let measured = measures.iter().map(|(measure, name)| Column {
        name,
        ..measure.column()
    });
    dims.iter()
        .flat_map(|dim| dim.columns())
        .chain(measured)
        .collect()
}

/// Answers with a row for each group.
pub(super) async fn answer(
    question: &Question<'_>,
    dims: &[Dim],
    measures: &[(Measure, &'static str)],
    order: Order,
) -> Result<Table, StoreError> {
    let needs = Needs::of(measures);
    let CountedGroups {
        counted,
        mut groups,
        places,
    } = question.grouped(dims, needs).await?;
    if dims == [Dim::Hour] && question.filters.hours.is_none() {
        for hour in 0..24 {
            groups
                .by_group
                .entry(vec![Group::Number(hour)])
                .or_default();
        }
    }
    let notes = notes(question, &counted, &groups, dims, needs);
    let known = &counted.known.totals;
    let writer = RowWriter {
        dims,
        measures,
        places: &places,
        known,
        days: Days::new(dims, question.filters, known),
        all_trips: groups.by_group.values().map(|group| group.trips).sum(),
    };
    let rows = in_order(groups, dims, needs, order);
    let rows = rows
        .iter()
        .filter_map(|(group, counts)| writer.row(group, counts));
    let rows = rows.collect();
    Ok(Table::of(columns(dims, measures), rows, notes).counted_as(&counted, question.filters))
}

/// Puts the groups in the order of their rows, with the sum of all groups last if it is useful.
fn in_order(
    groups: Groups,
    dims: &[Dim],
    needs: Needs,
    order: Order,
) -> Vec<(Vec<Group>, GroupCounts)> {
    let mut rows: Vec<(Vec<Group>, GroupCounts)> = groups.by_group.into_iter().collect();
    let has_spread = needs.durations || needs.distances;
    if has_spread && matches!(dims, [dim] if dim.is_named()) {
        let mut all = GroupCounts::default();
        for (_, counts) in &rows {
            all.add(counts);
        }
        rows.push((vec![Group::All], all));
    }
    // The natural order of stations is that of their ids, which is not useful.
    let by_size = order == Order::Largest || dims.contains(&Dim::Station);
    if by_size && !dims.iter().any(|dim| dim.is_of_day() || *dim == Dim::Hour) {
        rows.sort_by_key(|(_, counts)| Reverse(counts.trips)); // stable: equal ones stay in their order
    }
    rows
}

/// Makes the rows of groups.
struct RowWriter<'a> {
    dims: &'a [Dim],
    measures: &'a [(Measure, &'static str)],
    places: &'a [Place],
    known: &'a Totals,
    days: Days,
    /// The trips of all groups.
    all_trips: i64,
}

impl RowWriter<'_> {
    /// Returns the values of a group. `None` if it has no trip for any of the measures.
    fn row(&self, group: &[Group], counts: &GroupCounts) -> Option<Vec<Value>> {
        let spreads = [&counts.durations, &counts.distances].map(|values| {
            let values: Vec<(i64, i64)> = values.iter().map(|(value, n)| (*value, *n)).collect();
            Spread::of(&values)
        });
        let is_empty = self.measures.iter().all(|measure| {
            let needs = Needs::of(std::slice::from_ref(measure));
            needs.durations && spreads[0].is_none() || needs.distances && spreads[1].is_none()
        });
        if is_empty {
            return None;
        }
        let context = Context {
            all_trips: self.all_trips,
            days: self.days.like(self.dims, group),
        };
        let groups = self.dims.iter().zip(group);
        let groups = groups.flat_map(|(dim, group)| self.group_values(*dim, group));
        let measured = self.measures.iter();
        let measured = measured.map(|(measure, _)| measure.value(counts, &spreads, &context));
        Some(groups.chain(measured).collect())
    }

    fn group_values(&self, dim: Dim, group: &Group) -> Vec<Value> {
        match (dim, group) {
            (Dim::Station, Group::Number(index)) => {
                let place = &self.places[*index as usize];
                let name = place.name(self.known).map(str::to_owned);
                vec![place.station_id.as_str().into(), name.into()]
            }
            (Dim::Station, _) => vec![Value::Empty, Value::Empty],
            (dim, group) => vec![group.value(dim)],
        }
    }
}

/// Writes the notes below the table.
fn notes(
    question: &Question<'_>,
    counted: &Counted,
    groups: &Groups,
    dims: &[Dim],
    needs: Needs,
) -> Vec<Note> {
    let flags = &counted.known.totals.flags;
    let mut notes = question.scope(counted, question.filters);
    notes.extend(untimed(
        groups,
        needs,
        counted.trips.is_none().then_some(flags),
    ));
    notes.extend(implausible_ages(groups, dims));
    let without_origin = flags.get(Flag::NoOrigin);
    let is_unfiltered = question.filters.to_string().is_empty();
    if counted.with_origin && is_unfiltered && without_origin != 0 {
        notes.push(Note::Scope(format!(
            "{} without an origin: at no station",
            plural(without_origin, "trip")
        )));
    }
    notes
}

/// Returns a note with how many trips state a year of birth of which no age of 1 to 100 follows.
/// `None` if there are none, or the groups do not show it.
fn implausible_ages(groups: &Groups, dims: &[Dim]) -> Option<Note> {
    let at = |dim| dims.iter().position(|it| *it == dim);
    let (born, age) = (at(Dim::BirthYear)?, at(Dim::Age)?);
    let is_implausible =
        |key: &[Group]| matches!((&key[born], &key[age]), (Group::Number(_), Group::Unknown));
    let groups = groups.by_group.iter();
    let implausible = groups.filter(|(key, _)| is_implausible(key));
    let trips: i64 = implausible.map(|(_, counts)| counts.trips).sum();
    let text = format!(
        "{} of an age below 1 or above 100 by the year of birth: shown without age",
        plural(trips, "trip")
    );
    (trips != 0).then_some(Note::Scope(text))
}

/// Returns a note with how many of the counted trips have no plausible duration or distance. `known` are the flags
/// of all trips, if all are counted.
fn untimed(groups: &Groups, needs: Needs, known: Option<&FlagCounts>) -> Vec<Note> {
    let counts = groups.by_group.values();
    let trips: i64 = counts.clone().map(|group| group.trips).sum();
    let timed: i64 = counts
        .clone()
        .flat_map(|group| group.durations.values())
        .sum();
    let placed: i64 = counts.flat_map(|group| group.distances.values()).sum();
    let flags = known.or(groups.flags.as_ref());
    let mut notes = Vec::new();
    if needs.durations {
        let why = Flags::IMPLAUSIBLE_DURATION;
        notes.extend(left_out(why, trips - timed, flags));
    }
    if needs.distances && trips > placed {
        let Unplaced {
            without,
            coarse,
            far,
        } = groups.unplaced;
        let reasons = [
            (without, "without coordinates at both ends"),
            (coarse, "with coordinates of two decimals"),
            (far, "far outside of the system's area"),
        ];
        let reasons = reasons.iter().filter(|(trips, _)| *trips != 0);
        let reasons = reasons.map(|(trips, why)| ((*why).to_owned(), Some(*trips)));
        notes.push(Note::LeftOut {
            trips: trips - placed,
            reasons: reasons.collect(),
        });
    }
    notes
}

/// The number of days of each group of days, from which rates are calculated.
struct Days(BTreeMap<Vec<i32>, i64>);

impl Days {
    /// Counts the days with a stored trip that the filters let through: a gap between archives is
    /// no service.
    fn new(dims: &[Dim], filters: &Filters, known: &Totals) -> Self {
        let mut days: BTreeMap<Vec<i32>, i64> = BTreeMap::new();
        for day in known.days.0.keys().filter(|day| filters.has_day(**day)) {
            let key = dims.iter().filter_map(|dim| dim.of_day(*day)).collect();
            *days.entry(key).or_default() += 1;
        }
        Self(days)
    }

    /// Returns the number of days that belong to a group.
    fn like(&self, dims: &[Dim], key: &[Group]) -> i64 {
        let key = dims.iter().zip(key).filter_map(|(dim, group)| match group {
            Group::Number(number) if dim.is_of_day() => Some(*number),
            _ => None,
        });
        let key: Vec<i32> = key.collect();
        self.0.get(&key).copied().unwrap_or(0)
    }
}
