//! Parts of the cube beside Postcard and Zstandard of the same counts.
//!
//! *Maps* are the counts as one would keep them in plain Rust. *Columns* are the numbers that ours
//! packs, in the order in which it packs them, as derived structs: what a library would make of the
//! same idea. They are not merged: that would be the code that ours has, between decoding and
//! encoding.

use std::collections::BTreeMap;

use divvy::model::{Rider, TripBatch};
use divvy::tally::{
    Cube, DayHours, Durations, KeptGrid, Part, Parts, People, Routes, Sealed, Tally,
};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::measure::{Table, cpu_ms, decompress, from_postcard_zstd, postcard_zstd};

pub fn measure(batches: &[TripBatch]) -> crate::Result<()> {
    let trips = batches.iter().map(TripBatch::len).sum();
    let halves: [Vec<TripBatch>; 2] = [0, 1].map(|half| {
        let some = batches.iter().map(|batch| {
            let middle = batch.len() as u32 / 2;
            let rows = [0..middle, middle..batch.len() as u32];
            batch.select(&rows[half].clone().collect::<Vec<u32>>())
        });
        some.collect()
    });
    let columns = [
        "encode, ms",
        "decode and sum up, ms",
        "merge two and encode, ms",
    ];
    let mut all = Sums::default();
    for (name, parts, ours) in [
        (
            "day_hours",
            Parts {
                day_hours: true,
                ..Parts::NONE
            },
            &sum_day_hours as &dyn Fn(&Cube) -> i64,
        ),
        (
            "station_days",
            Parts {
                station_days: Parts::ALL.station_days,
                ..Parts::NONE
            },
            &sum_station_days,
        ),
        (
            "station_hours",
            Parts {
                station_hours: true,
                ..Parts::NONE
            },
            &sum_station_hours,
        ),
        (
            "routes",
            Parts {
                routes: true,
                ..Parts::NONE
            },
            &sum_routes,
        ),
        (
            "durations",
            Parts {
                durations: true,
                ..Parts::NONE
            },
            &sum_durations,
        ),
        (
            "people",
            Parts {
                people: true,
                ..Parts::NONE
            },
            &sum_people,
        ),
    ] {
        let mut table = Table::new(&format!("Cube: {name}"), trips, &columns);
        let one = open(batches, parts);
        let [a, b] = halves.each_ref().map(|half| compressed(&open(half, parts)));
        let bytes = compressed(&one);
        let size = bytes.values().map(Vec::len).sum();
        let figures = [
            cpu_ms(|| Ok(compressed(&one)))?,
            cpu_ms(|| Ok(ours(&read(&bytes)?)))?,
            cpu_ms(|| {
                let mut sum = read(&a)?;
                sum.merge(&read(&b)?);
                Ok(compressed(&sum))
            })?,
        ];
        table.row("ours, zstd 1", size, &figures);
        all.add(0, "ours, zstd 1", size, &figures);
        let expected = ours(&read(&bytes)?);
        let [a, b] = [read(&a)?, read(&b)?];
        let sealed = read(&bytes)?;
        let (day_hours, durations, people) = (
            sealed.day_hours.get(),
            sealed.durations.get(),
            sealed.people.get(),
        );
        let mut merged = a.clone();
        merged.merge(&b);
        let mut plain = Plain {
            table: &mut table,
            all: &mut all,
            expected,
            merged: ours(&merged),
        };
        match name {
            "day_hours" => plain.measure::<DayHoursMap, DayHoursColumns>(
                [&sealed, &a, &b].map(|cube| day_hours_map(&cube.day_hours.get())),
                Columns::From(&|| day_hours_columns(&day_hours)),
            )?,
            "station_days" => plain.measure::<GridsMap, GridsColumns>(
                [&sealed, &a, &b].map(grids_map),
                Columns::Before(grids_columns(&sealed)),
            )?,
            "station_hours" => plain.measure::<GridMap, GridColumns>(
                [&sealed, &a, &b].map(|cube| grid_map(&cube.station_hours.kept())),
                Columns::Before(grid_columns(&sealed.station_hours.kept())),
            )?,
            "routes" => plain.measure::<RoutesMap, RoutesColumns>(
                [&sealed, &a, &b].map(|cube| routes_map(&cube.routes)),
                Columns::Before(routes_columns(&sealed.routes)),
            )?,
            "durations" => plain.measure::<DurationsMap, DurationsColumns>(
                [&sealed, &a, &b].map(|cube| durations_map(&cube.durations.get())),
                Columns::From(&|| durations_columns(&durations)),
            )?,
            _ => plain.measure::<PeopleMap, PeopleColumns>(
                [&sealed, &a, &b].map(|cube| people_map(&cube.people.get())),
                Columns::From(&|| people_columns(&people)),
            )?,
        }
        table.print();
    }
    let mut table = Table::new("Cube: all parts", trips, &columns);
    for (way, size, figures) in all.0 {
        table.row(&way, size, &figures);
    }
    table.print();
    Ok(())
}

/// The figures of all parts together.
#[derive(Default)]
struct Sums(Vec<(String, usize, [f64; 3])>);

impl Sums {
    fn add(&mut self, place: usize, way: &str, size: usize, figures: &[f64; 3]) {
        if self.0.len() == place {
            self.0.push((way.into(), 0, [0.0; 3]));
        }
        let (_, bytes, sums) = &mut self.0[place];
        *bytes += size;
        for (sum, figure) in sums.iter_mut().zip(figures) {
            *sum += figure;
        }
    }
}

/// Where columns come from.
enum Columns<'a, C> {
    /// Made before encoding is timed: nothing outside of `divvy` can read the open part.
    Before(C),
    /// Made of the open part, as a part of encoding.
    From(&'a dyn Fn() -> C),
}

struct Plain<'a> {
    table: &'a mut Table,
    all: &'a mut Sums,
    /// The sum that each way has to find.
    expected: i64,
    /// And that of both halves merged.
    merged: i64,
}

/// Counts that a library writes and reads.
trait Counts: Serialize + DeserializeOwned {
    /// Visits every count, as a report does.
    fn sum(&self) -> i64;
}

/// Counts that are added up.
trait Merge: Counts {
    fn add(&mut self, other: Self);
}

impl Plain<'_> {
    fn measure<M: Merge, C: Counts>(
        &mut self,
        [whole, a, b]: [M; 3],
        columns: Columns<'_, C>,
    ) -> crate::Result<()> {
        let [a, b] = [postcard_zstd(&a, 1)?, postcard_zstd(&b, 1)?];
        let merged = || -> crate::Result<Vec<u8>> {
            let mut sum: M = from_postcard_zstd(&a)?;
            sum.add(from_postcard_zstd(&b)?);
            postcard_zstd(&sum, 1)
        };
        let bytes = postcard_zstd(&whole, 1)?;
        let figures = [
            cpu_ms(|| postcard_zstd(&whole, 1))?,
            cpu_ms(|| Ok(from_postcard_zstd::<M>(&bytes)?.sum()))?,
            cpu_ms(merged)?,
        ];
        assert_eq!(from_postcard_zstd::<M>(&bytes)?.sum(), self.expected);
        assert_eq!(from_postcard_zstd::<M>(&merged()?)?.sum(), self.merged);
        self.row(1, "Postcard of maps, zstd 1", bytes.len(), figures);

        let encode = || match &columns {
            Columns::Before(columns) => postcard_zstd(columns, 1),
            Columns::From(part) => postcard_zstd(&part(), 1),
        };
        let bytes = encode()?;
        let figures = [
            cpu_ms(encode)?,
            cpu_ms(|| Ok(from_postcard_zstd::<C>(&bytes)?.sum()))?,
            f64::NAN,
        ];
        assert_eq!(from_postcard_zstd::<C>(&bytes)?.sum(), self.expected);
        let way = match columns {
            Columns::Before(_) => "Postcard of columns (made before), zstd 1",
            Columns::From(_) => "Postcard of columns, zstd 1",
        };
        self.row(2, way, bytes.len(), figures);
        Ok(())
    }

    fn row(&mut self, place: usize, way: &str, size: usize, figures: [f64; 3]) {
        self.table.row(way, size, &figures);
        self.all.add(place, way, size, &figures);
    }
}

/// Counts trips into parts of a cube that stay open for counting, with nothing that waits.
fn open(batches: &[TripBatch], parts: Parts) -> Cube {
    let mut cube = Cube::default();
    for batch in batches {
        cube.count_parts(parts, &batch.counted(), 1);
    }
    cube.seal();
    // Opens it again. The routes are not concerned, and of the others each by one trip.
    let mut one = batches[0].select(&[0]);
    (one.origin, one.destination) = (vec![0], vec![0]);
    cube.count_parts(parts, &one.counted(), 1);
    cube
}

/// Packs and compresses the parts, as the catalog keeps them.
fn compressed(cube: &Cube) -> BTreeMap<Part, Vec<u8>> {
    let parts = cube.packed().into_iter();
    let compress = |bytes: &[u8]| zstd::bulk::compress(bytes, 1).expect("memory does not fail");
    parts
        .map(|(part, bytes)| (part, compress(&bytes)))
        .collect()
}

fn read(parts: &BTreeMap<Part, Vec<u8>>) -> crate::Result<Cube> {
    let mut cube = Cube::default();
    for (part, bytes) in parts {
        cube.put(*part, decompress(bytes)?)?;
    }
    Ok(cube)
}

/// Rider and kind of bike.
type Kind = (String, String);

// Trips by day and hour.

type DayHoursMap = BTreeMap<i32, BTreeMap<Kind, Vec<i64>>>;

#[derive(Serialize, Deserialize)]
struct DayHoursColumns {
    kinds: Vec<Kind>,
    day_steps: Vec<i32>,
    /// By day and kind: whether 52 numbers follow.
    is_counted: Vec<bool>,
    numbers: Vec<i64>,
}

fn sum_day_hours(cube: &Cube) -> i64 {
    let part = cube.day_hours.get();
    part.iter()
        .map(|(.., counts)| counts.starts.iter().chain(&counts.stops).sum::<i64>())
        .sum()
}

fn day_hours_map(part: &DayHours) -> DayHoursMap {
    let mut map = DayHoursMap::new();
    for (day, rider, bike, counts) in part.iter() {
        let mut numbers = counts.starts.to_vec();
        numbers.extend(counts.stops);
        numbers.extend([counts.no_origin, counts.no_destination]);
        numbers.extend([counts.dockless, counts.round_trips]);
        let kind = (rider.as_str().to_owned(), bike.to_owned());
        map.entry(day).or_default().insert(kind, numbers);
    }
    map
}

fn day_hours_columns(part: &DayHours) -> DayHoursColumns {
    let mut kinds: Vec<(&Rider, &str)> = Vec::new();
    for (_, rider, bike, _) in part.iter() {
        if !kinds.contains(&(rider, bike)) {
            kinds.push((rider, bike));
        }
    }
    kinds.sort_unstable();
    let name = |(rider, bike): &(&Rider, &str)| (rider.as_str().to_owned(), (*bike).to_owned());
    let mut columns = DayHoursColumns {
        kinds: kinds.iter().map(name).collect(),
        day_steps: Vec::new(),
        is_counted: Vec::new(),
        numbers: Vec::new(),
    };
    let mut last = 0;
    let mut counts = part.iter().peekable();
    while let Some((day, ..)) = counts.peek().copied() {
        columns
            .day_steps
            .push(day - std::mem::replace(&mut last, day));
        let mut of_day = vec![None; kinds.len()];
        while let Some((_, rider, bike, counts)) = counts.next_if(|(next, ..)| *next == day) {
            let place = kinds.iter().position(|kind| *kind == (rider, bike));
            of_day[place.unwrap_or_default()] = Some(counts);
        }
        for counts in of_day {
            columns.is_counted.push(counts.is_some());
            let Some(counts) = counts else { continue };
            columns.numbers.extend(counts.starts);
            columns.numbers.extend(counts.stops);
            columns
                .numbers
                .extend([counts.no_origin, counts.no_destination]);
            columns
                .numbers
                .extend([counts.dockless, counts.round_trips]);
        }
    }
    columns
}

impl Counts for DayHoursMap {
    fn sum(&self) -> i64 {
        let all = self.values().flat_map(BTreeMap::values);
        all.map(|numbers| numbers[..48].iter().sum::<i64>()).sum()
    }
}

impl Merge for DayHoursMap {
    fn add(&mut self, other: Self) {
        for (day, kinds) in other {
            let mine = self.entry(day).or_default();
            for (kind, numbers) in kinds {
                let mine = mine.entry(kind).or_insert_with(|| vec![0; 52]);
                mine.iter_mut()
                    .zip(numbers)
                    .for_each(|(mine, n)| *mine += n);
            }
        }
    }
}

impl Counts for DayHoursColumns {
    fn sum(&self) -> i64 {
        self.numbers
            .chunks(52)
            .map(|numbers| numbers[..48].iter().sum::<i64>())
            .sum()
    }
}

// Departures and arrivals of stations.

/// By station, rider and period.
type GridMap = BTreeMap<String, BTreeMap<String, BTreeMap<i32, [i64; 2]>>>;
/// By month.
type GridsMap = BTreeMap<i32, GridMap>;
type GridsColumns = BTreeMap<i32, GridColumns>;

#[derive(Serialize, Deserialize)]
struct GridColumns {
    riders: Vec<String>,
    stations: Vec<String>,
    /// 1 where the next station begins, and the rider.
    series: Vec<(u8, u32)>,
    period_steps: Vec<i32>,
    /// By series and period.
    departures: Vec<i64>,
    arrivals: Vec<i64>,
}

fn sum_grid(kept: &KeptGrid<'_>) -> i64 {
    let mut sum = 0;
    kept.each(|_, _, cells| sum += cells.iter().map(|(_, [a, b])| a + b).sum::<i64>());
    sum
}

fn sum_station_days(cube: &Cube) -> i64 {
    cube.station_days
        .values()
        .map(|part| sum_grid(&part.kept()))
        .sum()
}

fn sum_station_hours(cube: &Cube) -> i64 {
    sum_grid(&cube.station_hours.kept())
}

fn grid_map(kept: &KeptGrid<'_>) -> GridMap {
    let mut map = GridMap::new();
    kept.each(|station, rider, cells| {
        let some = cells.iter().filter(|(_, cell)| *cell != [0, 0]).copied();
        let riders = map.entry(station.as_str().into()).or_default();
        riders.insert(rider.as_str().into(), some.collect());
    });
    map
}

fn grids_map(cube: &Cube) -> GridsMap {
    let months = cube.station_days.iter();
    months
        .map(|(month, part)| (*month, grid_map(&part.kept())))
        .collect()
}

fn grid_columns(kept: &KeptGrid<'_>) -> GridColumns {
    let (mut riders, mut stations) = (Vec::new(), Vec::new());
    kept.each(|station, rider, _| {
        riders.push(rider.as_str().to_owned());
        stations.push(station.as_str().to_owned());
    });
    riders.sort();
    riders.dedup();
    stations.dedup();
    let mut columns = GridColumns {
        riders,
        stations,
        series: Vec::new(),
        period_steps: Vec::new(),
        departures: Vec::new(),
        arrivals: Vec::new(),
    };
    let mut last_station = None;
    kept.each(|station, rider, cells| {
        let is_next = last_station.as_ref().is_some_and(|last| last != station);
        last_station = Some(station.clone());
        let rider = columns
            .riders
            .iter()
            .position(|known| known == rider.as_str());
        columns
            .series
            .push((u8::from(is_next), rider.unwrap_or_default() as u32));
        if columns.period_steps.is_empty() {
            let mut last = 0;
            let steps = cells
                .iter()
                .map(|(period, _)| period - std::mem::replace(&mut last, *period));
            columns.period_steps = steps.collect();
        }
        columns
            .departures
            .extend(cells.iter().map(|(_, cell)| cell[0]));
        columns
            .arrivals
            .extend(cells.iter().map(|(_, cell)| cell[1]));
    });
    columns
}

fn grids_columns(cube: &Cube) -> GridsColumns {
    let months = cube.station_days.iter();
    months
        .map(|(month, part)| (*month, grid_columns(&part.kept())))
        .collect()
}

impl Counts for GridMap {
    fn sum(&self) -> i64 {
        let cells = self
            .values()
            .flat_map(BTreeMap::values)
            .flat_map(BTreeMap::values);
        cells.map(|[a, b]| a + b).sum()
    }
}

impl Merge for GridMap {
    fn add(&mut self, other: Self) {
        for (station, riders) in other {
            let mine = self.entry(station).or_default();
            for (rider, periods) in riders {
                let mine = mine.entry(rider).or_default();
                for (period, ends) in periods {
                    let cell = mine.entry(period).or_default();
                    cell[0] += ends[0];
                    cell[1] += ends[1];
                }
            }
        }
    }
}

impl Counts for GridColumns {
    fn sum(&self) -> i64 {
        self.departures.iter().chain(&self.arrivals).sum()
    }
}

impl Counts for GridsMap {
    fn sum(&self) -> i64 {
        self.values().map(Counts::sum).sum()
    }
}

impl Merge for GridsMap {
    fn add(&mut self, other: Self) {
        for (month, grid) in other {
            self.entry(month).or_default().add(grid);
        }
    }
}

impl Counts for GridsColumns {
    fn sum(&self) -> i64 {
        self.values().map(Counts::sum).sum()
    }
}

// Routes.

/// By origin, destination and bucket of the duration.
type RoutesMap = BTreeMap<String, BTreeMap<String, BTreeMap<u8, i32>>>;

#[derive(Serialize, Deserialize)]
struct RoutesColumns {
    stations: Vec<String>,
    routes: Vec<u32>,
    destination_steps: Vec<u32>,
    trips: Vec<i64>,
    buckets: Vec<u8>,
    bucket_steps: Vec<u8>,
    bucket_trips: Vec<i32>,
}

/// What `report routes` takes: the trips of every route.
fn sum_routes(cube: &Cube) -> i64 {
    let mut sum = 0;
    cube.routes.kept().each(|route| sum += route.trips);
    sum
}

/// Visits origin, destination and trips by bucket of each route.
fn each_route(part: &Sealed<Routes>, mut visit: impl FnMut(u32, u32, i64, Vec<(u8, i32)>)) {
    let kept = part.kept();
    let mut routes = Vec::new();
    kept.each(|route| routes.push(route));
    let wanted: Vec<u32> = (0..routes.len() as u32).collect();
    let mut routes = routes.into_iter();
    kept.durations(&wanted, |buckets| {
        let Some(route) = routes.next() else { return };
        // Bucket 0 holds the trips without a plausible duration.
        let known: i64 = buckets.iter().map(|(_, n)| i64::from(*n)).sum();
        let rest = (route.trips - known) as i32;
        let rest = (rest != 0).then_some((0, rest)).into_iter();
        visit(
            route.from,
            route.to,
            route.trips,
            rest.chain(buckets.iter().copied()).collect(),
        );
    });
}

fn routes_map(part: &Sealed<Routes>) -> RoutesMap {
    let kept = part.kept();
    let id = |place: u32| kept.stations()[place as usize].as_str().to_owned();
    let mut map = RoutesMap::new();
    each_route(part, |from, to, _, buckets| {
        let routes = map.entry(id(from)).or_default();
        routes.insert(id(to), buckets.into_iter().collect());
    });
    map
}

fn routes_columns(part: &Sealed<Routes>) -> RoutesColumns {
    let ids = part
        .kept()
        .stations()
        .iter()
        .map(|id| id.as_str().to_owned())
        .collect::<Vec<_>>();
    let mut columns = RoutesColumns {
        routes: vec![0; ids.len()],
        stations: ids,
        destination_steps: Vec::new(),
        trips: Vec::new(),
        buckets: Vec::new(),
        bucket_steps: Vec::new(),
        bucket_trips: Vec::new(),
    };
    let mut last = (u32::MAX, 0);
    each_route(part, |from, to, trips, buckets| {
        let step = if last.0 == from { to - last.1 } else { to };
        last = (from, to);
        columns.routes[from as usize] += 1;
        columns.destination_steps.push(step);
        columns.trips.push(trips);
        columns.buckets.push(buckets.len() as u8);
        let mut last = 0;
        for (bucket, n) in buckets {
            columns
                .bucket_steps
                .push(bucket - std::mem::replace(&mut last, bucket));
            columns.bucket_trips.push(n);
        }
    });
    columns
}

impl Counts for RoutesMap {
    fn sum(&self) -> i64 {
        let routes = self.values().flat_map(BTreeMap::values);
        routes
            .map(|buckets| buckets.values().map(|n| i64::from(*n)).sum::<i64>())
            .sum()
    }
}

impl Merge for RoutesMap {
    fn add(&mut self, other: Self) {
        for (from, routes) in other {
            let mine = self.entry(from).or_default();
            for (to, buckets) in routes {
                let mine = mine.entry(to).or_default();
                for (bucket, n) in buckets {
                    *mine.entry(bucket).or_default() += n;
                }
            }
        }
    }
}

impl Counts for RoutesColumns {
    fn sum(&self) -> i64 {
        self.trips.iter().sum()
    }
}

// Durations.

type DurationsMap = BTreeMap<Kind, BTreeMap<u32, i64>>;

/// By kind: the seconds as steps, and the trips of each.
type DurationsColumns = Vec<(Kind, Vec<u32>, Vec<i64>)>;

fn sum_durations(cube: &Cube) -> i64 {
    let part = cube.durations.get();
    part.iter()
        .flat_map(|(.., seconds)| seconds)
        .map(|(second, n)| second * n)
        .sum()
}

fn durations_map(part: &Durations) -> DurationsMap {
    let kinds = part.iter().map(|(rider, bike, seconds)| {
        let seconds = seconds.into_iter().map(|(second, n)| (second as u32, n));
        (
            (rider.as_str().to_owned(), bike.to_owned()),
            seconds.collect(),
        )
    });
    kinds.collect()
}

fn durations_columns(part: &Durations) -> DurationsColumns {
    let kinds = part.iter().map(|(rider, bike, seconds)| {
        let mut last = 0;
        let mut step = |second: i64| (second - std::mem::replace(&mut last, second)) as u32;
        let steps = seconds.iter().map(|(second, _)| step(*second)).collect();
        let trips = seconds.iter().map(|(_, n)| *n).collect();
        ((rider.as_str().to_owned(), bike.to_owned()), steps, trips)
    });
    let mut kinds: DurationsColumns = kinds.collect();
    kinds.sort_unstable_by(|a, b| a.0.cmp(&b.0));
    kinds
}

impl Counts for DurationsMap {
    fn sum(&self) -> i64 {
        self.values()
            .flatten()
            .map(|(second, n)| i64::from(*second) * n)
            .sum()
    }
}

impl Merge for DurationsMap {
    fn add(&mut self, other: Self) {
        for (kind, seconds) in other {
            let mine = self.entry(kind).or_default();
            for (second, n) in seconds {
                *mine.entry(second).or_default() += n;
            }
        }
    }
}

impl Counts for DurationsColumns {
    fn sum(&self) -> i64 {
        let mut sum = 0;
        for (_, steps, trips) in self {
            let mut second = 0;
            for (step, n) in steps.iter().zip(trips) {
                second += i64::from(*step);
                sum += second * n;
            }
        }
        sum
    }
}

// People.

type PeopleMap = BTreeMap<(i16, Option<i16>, String, String), i64>;

#[derive(Serialize, Deserialize)]
struct PeopleColumns {
    genders: Vec<String>,
    riders: Vec<String>,
    /// Steps of years and of years of birth (-1 for none), genders, riders, trips.
    rows: Vec<(i16, i16, u32, u32, i64)>,
}

fn sum_people(cube: &Cube) -> i64 {
    let part = cube.people.get();
    part.iter()
        .map(|(person, n)| i64::from(person.birth_year.unwrap_or(0)) + n)
        .sum()
}

fn people_map(part: &People) -> PeopleMap {
    let people = part.iter().map(|(person, n)| {
        let (gender, rider) = (person.gender.to_string(), person.rider.as_str().to_owned());
        ((person.year, person.birth_year, gender, rider), n)
    });
    people.collect()
}

fn people_columns(part: &People) -> PeopleColumns {
    let distinct = |mut all: Vec<&str>| -> Vec<String> {
        all.sort_unstable();
        all.dedup();
        all.into_iter().map(str::to_owned).collect()
    };
    let genders = distinct(part.iter().map(|(person, _)| &*person.gender).collect());
    let riders = distinct(
        part.iter()
            .map(|(person, _)| person.rider.as_str())
            .collect(),
    );
    let place = |all: &[String], text: &str| {
        let place = all.iter().position(|known| known == text);
        place.unwrap_or_default() as u32
    };
    let mut last = (0, 0);
    let rows = part.iter().map(|(person, n)| {
        let born = person.birth_year.unwrap_or(-1);
        let steps = (person.year - last.0, born - last.1);
        last = (person.year, born);
        let gender = place(&genders, &person.gender);
        let rider = place(&riders, person.rider.as_str());
        (steps.0, steps.1, gender, rider, n)
    });
    let rows = rows.collect();
    PeopleColumns {
        genders,
        riders,
        rows,
    }
}

impl Counts for PeopleMap {
    fn sum(&self) -> i64 {
        let people = self.iter();
        people
            .map(|((_, born, ..), n)| i64::from(born.unwrap_or(0)) + n)
            .sum()
    }
}

impl Merge for PeopleMap {
    fn add(&mut self, other: Self) {
        for (person, n) in other {
            *self.entry(person).or_default() += n;
        }
    }
}

impl Counts for PeopleColumns {
    fn sum(&self) -> i64 {
        let mut born = 0_i16;
        let mut sum = 0;
        for (_, step, _, _, n) in &self.rows {
            born = born.wrapping_add(*step);
            sum += i64::from(born.max(0)) + n;
        }
        sum
    }
}
