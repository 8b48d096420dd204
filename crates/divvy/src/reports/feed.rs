//! The health of the newest snapshot: how old the report of each station is, and what is wrong with it.

use std::cmp::{Ordering, Reverse};
use std::collections::{BTreeMap, HashMap};

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};

use super::column::STATION_ID;
use super::dims::Dim;
use super::question::length;
use super::{Column, Filter, Note, Question, Report, Row, Table, Value, ValueKind, plural};
use crate::model::{BoundingBox, FilledByLists, Station, StationId, StationSource};
use crate::store::{FeedState, StoreError};
use crate::tally::Parts;

/// The stations of the newest snapshot, those with the oldest reports first.
pub struct FeedHealth;

/// One station.
#[derive(Clone, Debug, PartialEq)]
pub struct FeedHealthRow {
    /// The feed's id.
    pub station_id: StationId,
    /// The feed's name.
    pub name: Option<String>,
    /// When it last reported, RFC 3339. `None` where it never did.
    pub reported_at: Option<String>,
    /// The age of its report when the snapshot was made; below 0 where the clock of the station is ahead. `None` where
    /// it never reported.
    pub staleness_s: Option<i64>,
    problems: Vec<Problem>,
}

impl Row for FeedHealthRow {
    fn columns() -> Vec<Column> {
        vec![
            STATION_ID.defined("the feed's id"),
            Dim::Station.column().defined("the feed's name"),
            Column::new("reported_at", ValueKind::Instant)
                .headed("reported")
                .spare(1)
                .defined("when the station last reported; empty where it never did"),
            Column::new("staleness_s", ValueKind::Seconds)
                .headed("age of report")
                .defined(
                    "from the stored report of the station to the snapshot, by the feed's clock: up to 15 minutes more \
                     than from its newest one, which is stored with its next change or after 15 minutes; below 0 where \
                     the station's clock is ahead",
                ),
            Column::new("faults", ValueKind::Text).defined(
                "what is wrong: no status, never reported, no name, no position, outside of the area of the system, \
                 the name of another station, another id than before (for the same name), a report after the snapshot, \
                 more e-bikes than bikes, \
                 fewer or more bikes and docks than its capacity; separated by semicolons",
            ),
        ]
    }

    fn values(self) -> Vec<Value> {
        let texts: Vec<String> = self.problems.iter().map(Problem::text).collect();
        vec![
            self.station_id.as_str().into(),
            self.name.into(),
            self.reported_at.into(),
            self.staleness_s.into(),
            (!texts.is_empty()).then(|| texts.join("; ")).into(),
        ]
    }
}

/// How far the clock of a station may be ahead of that of the feed.
const MAX_AHEAD: SignedDuration = SignedDuration::from_mins(5);

/// Something that is wrong with a station of the newest snapshot.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Problem {
    NoStatus,
    NeverReported,
    NoName,
    NoPosition,
    OutsideArea,
    SharedName,
    /// The id that the station with this name had in earlier snapshots.
    RenewedId(StationId),
    /// Its report is later than the snapshot.
    ReportAhead,
    MoreEbikesThanBikes,
    /// The number of docks that are in no count.
    BelowCapacity(u64),
    /// The number of bikes and docks above its capacity.
    AboveCapacity(u64),
}

impl Problem {
    /// Returns the kind in words: equal for all stations that have it.
    fn kind(&self) -> &'static str {
        match self {
            Self::NoStatus => "no status",
            Self::NeverReported => "never reported",
            Self::NoName => "no name",
            Self::NoPosition => "no position",
            Self::OutsideArea => "outside of the area of the system",
            Self::SharedName => "the name of another station",
            Self::RenewedId(_) => "another id than before",
            Self::ReportAhead => "a report after the snapshot",
            Self::MoreEbikesThanBikes => "more e-bikes than bikes",
            Self::BelowCapacity(_) => "docks that are not counted",
            Self::AboveCapacity(_) => "bikes and docks above the capacity",
        }
    }

    /// Returns the text for one station.
    fn text(&self) -> String {
        match self {
            Self::RenewedId(before) => format!("another id than before: it was {before}"),
            Self::BelowCapacity(docks) => {
                format!("{} not counted", plural(*docks as i64, "dock"))
            }
            Self::AboveCapacity(more) => format!("bikes and docks exceed the capacity by {more}"),
            other => other.kind().to_owned(),
        }
    }
}

/// The names, area and time that stations are checked against.
struct Names<'a> {
    area: Option<BoundingBox>,
    /// When the snapshot was made.
    made_at: Option<Timestamp>,
    /// How many stations of the newest snapshot have a name.
    listed: HashMap<&'a str, usize>,
    /// The ids under which earlier snapshots had stations that the newest one lacks, by name.
    earlier: HashMap<&'a str, &'a StationId>,
}

impl<'a> Names<'a> {
    fn of(stations: &'a [Station], feed: &FeedState, area: Option<BoundingBox>) -> Self {
        let mut names = Self {
            area,
            made_at: feed.status_at.max(feed.information_at),
            listed: HashMap::new(),
            earlier: HashMap::new(),
        };
        for station in stations {
            let Some(name) = station.name.as_deref() else {
                continue;
            };
            if feed.listed.contains(&station.id) {
                *names.listed.entry(name).or_default() += 1;
            } else if station.source == StationSource::Feed {
                names.earlier.insert(name, &station.id);
            }
        }
        names
    }

    /// Lists what is wrong with a station of the newest snapshot.
    fn problems(&self, station: &Station) -> Vec<Problem> {
        let mut problems = Vec::new();
        let name = station.name.as_deref();
        let mut add = |is: bool, problem: Problem| {
            if is {
                problems.push(problem);
            }
        };
        add(station.status.is_none(), Problem::NoStatus);
        add(
            station.status.is_some() && station.reported_at.is_none(),
            Problem::NeverReported,
        );
        add(name.is_none(), Problem::NoName);
        let position = station.position();
        add(position.is_none(), Problem::NoPosition);
        let is_outside = position.zip(self.area);
        add(
            is_outside.is_some_and(|(position, area)| !area.contains(position)),
            Problem::OutsideArea,
        );
        let named_so = name.and_then(|name| self.listed.get(name));
        add(
            named_so.is_some_and(|count| *count > 1),
            Problem::SharedName,
        );
        if let Some(before) = name.and_then(|name| self.earlier.get(name)) {
            problems.push(Problem::RenewedId((*before).clone()));
        }
        let reported = station.reported_at.zip(self.made_at);
        if reported.is_some_and(|(reported, made)| reported.duration_since(made) > MAX_AHEAD) {
            problems.push(Problem::ReportAhead);
        }
        let available = station.available;
        let ebikes = available.ebikes.zip(available.vehicles);
        if ebikes.is_some_and(|(ebikes, all)| ebikes > all) {
            problems.push(Problem::MoreEbikesThanBikes);
        }
        problems.extend(capacity(station));
        problems
    }
}

/// Compares the bikes and docks of a station with the capacity that the feed states. `None` where they agree, and
/// where either is not stated.
fn capacity(station: &Station) -> Option<Problem> {
    let of_feed = station.filled_by_lists == FilledByLists::Nothing;
    let capacity = u64::from(station.capacity.filter(|_| of_feed)?);
    let available = station.available;
    let (vehicles, docks) = available.vehicles.zip(available.docks)?;
    let disabled = [available.vehicles_disabled, available.docks_disabled];
    let disabled: u64 = disabled.into_iter().flatten().map(u64::from).sum();
    let counted = u64::from(vehicles) + u64::from(docks) + disabled;
    match counted.cmp(&capacity) {
        Ordering::Less => Some(Problem::BelowCapacity(capacity - counted)),
        Ordering::Greater => Some(Problem::AboveCapacity(counted - capacity)),
        Ordering::Equal => None,
    }
}

#[async_trait]
impl Report for FeedHealth {
    fn name(&self) -> &str {
        "feed"
    }

    fn about(&self) -> &str {
        "the newest snapshot: how old each station's report is, and what is wrong"
    }

    fn takes(&self) -> &'static [Filter] {
        &[Filter::Station, Filter::Top]
    }

    fn columns(&self) -> Vec<Column> {
        FeedHealthRow::columns()
    }

    fn is_long(&self) -> bool {
        true
    }

    async fn answer(&self, question: &Question<'_>) -> Result<Table, StoreError> {
        let system = &question.system.id;
        let Some(feed) = question.store.feed(system).await? else {
            let note = Note::Scope("no live data yet: divvy poll URL".into());
            return Ok(Table::new(Vec::<FeedHealthRow>::new(), vec![note]));
        };
        let known = question.known(Parts::NONE).await?;
        let places = question.places(&known.totals).await?;
        let selected = question.resolve_places(&places, &known.totals);
        let selected = selected.unwrap_or_else(|| (0..places.len()).collect());
        let made_at = feed.status_at.max(feed.information_at);
        let age = |at: Timestamp| made_at.map(|made| made.duration_since(at).as_secs());
        let all = question.store.stations(system).await?;
        let names = Names::of(&all, &feed, question.system.area);
        let stations = selected
            .into_iter()
            .filter_map(|at| places[at].station.as_ref());
        let listed = stations.filter(|station| feed.listed.contains(&station.id));
        let rows = listed.map(|station| FeedHealthRow {
            station_id: station.id.clone(),
            name: station.name.clone(),
            reported_at: station.reported_at.map(|at| question.instant(at)),
            staleness_s: station.reported_at.and_then(age),
            problems: names.problems(station),
        });
        let mut rows: Vec<FeedHealthRow> = rows.collect();
        rows.sort_by_key(|row| {
            let age = row.staleness_s.unwrap_or(i64::MAX);
            Reverse((!row.problems.is_empty(), age))
        });
        let notes = notes(question, made_at, &rows);
        Ok(Table::new(rows, notes))
    }
}

/// Writes when the snapshot was made, how old reports are, and how many stations have which problem.
fn notes(question: &Question<'_>, made_at: Option<Timestamp>, rows: &[FeedHealthRow]) -> Vec<Note> {
    let made = made_at.map_or(String::new(), |at| {
        format!(", made {}", question.instant(at))
    });
    let stations = plural(rows.len() as i64, "station");
    let mut notes = vec![Note::Scope(format!(
        "{}: {stations} of the newest snapshot{made}",
        question.system.name
    ))];
    let ages = rows.iter().filter_map(|row| row.staleness_s);
    let mut ages: Vec<i64> = ages.map(|age| age.max(0)).collect();
    ages.sort_unstable();
    if let (Some(median), Some(oldest)) = (ages.get(ages.len().saturating_sub(1) / 2), ages.last())
    {
        let text = |seconds: i64| length(SignedDuration::from_secs(seconds));
        notes.push(Note::Scope(format!(
            "Half of the reports are at most {} old, the oldest {}",
            text(*median),
            text(*oldest)
        )));
    }
    let mut kinds: BTreeMap<&str, i64> = BTreeMap::new();
    for problem in rows.iter().flat_map(|row| &row.problems) {
        *kinds.entry(problem.kind()).or_default() += 1;
    }
    let kinds = kinds.iter().map(|(kind, count)| format!("{kind}: {count}"));
    let kinds: Vec<String> = kinds.collect();
    if !kinds.is_empty() {
        notes.push(Note::Scope(format!("Stations with {}", kinds.join("; "))));
    }
    notes
}
