//! Groups from the parts of the cube.

use super::coded::Coded;
use super::{Groups, Query};
use crate::model::civil_date::month_of;
use crate::reports::dims::{Dim, Group, age_in};
use crate::reports::filters::Filters;
use crate::tally::{Cube, DayHours, Durations, KeptGrid, Parts, People};

/// The parts of the cube that answer a query.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::reports) struct CubeSource {
    trips: Source,
    durations: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Source {
    DayHours,
    People,
    StationHours,
    StationDays,
}

impl CubeSource {
    /// Finds the parts of the cube that answer. `None` where the trips must be read.
    pub(in crate::reports) fn of(query: &Query<'_>) -> Option<Self> {
        let Query {
            dims,
            needs,
            filters,
            origins,
            ..
        } = query;
        let within = |allowed: &dyn Fn(Dim) -> bool| dims.iter().all(|dim| allowed(*dim));
        let dated = filters.from.is_some() || filters.to.is_some();
        let by_hour = filters.hours.is_some();
        let by_weekday = filters.weekdays.is_some();
        if needs.distances {
            return None;
        }
        if needs.durations {
            let kinds = within(&|dim| matches!(dim, Dim::Rider | Dim::Bike));
            if !kinds || dated || by_hour || by_weekday || origins.is_some() {
                return None;
            }
        }
        let plain = !needs.stops && !needs.ends;
        let days = |dim: Dim| dim.is_of_day();
        let day_hours = within(&|d| days(d) || matches!(d, Dim::Rider | Dim::Bike | Dim::Hour))
            && origins.is_none()
            // By day it keeps stops on the day of the start only.
            && !(needs.stops && (by_hour || dims.iter().any(|dim| days(*dim))))
            && !(needs.ends && (by_hour || dims.contains(&Dim::Hour)));
        let no_bike = filters.bike.is_none();
        let people = within(&|dim| {
            let of_people = matches!(dim, Dim::Gender | Dim::BirthYear | Dim::Age);
            of_people || matches!(dim, Dim::Rider | Dim::Year)
        });
        let people = people && plain && origins.is_none() && no_bike && !by_hour && !by_weekday;
        let people = people && whole_years(filters);
        let station_hours =
            within(&|dim| matches!(dim, Dim::Rider | Dim::Station | Dim::Weekday | Dim::Hour));
        let station_hours = station_hours && plain && no_bike && !dated;
        let station_days = within(&|dim| days(dim) || matches!(dim, Dim::Rider | Dim::Station));
        let station_days = station_days && plain && no_bike && !by_hour;
        let stations = origins.is_some();
        let trips = match () {
            () if day_hours => Source::DayHours,
            () if people => Source::People,
            () if stations && station_hours => Source::StationHours,
            () if stations && station_days => Source::StationDays,
            () => return None,
        };
        Some(Self {
            trips,
            durations: needs.durations,
        })
    }

    /// Returns the parts of the cube that are to be read.
    pub(in crate::reports) fn parts(self, filters: &Filters) -> Parts {
        let (first, last) = filters.days();
        Parts {
            day_hours: self.trips == Source::DayHours,
            people: self.trips == Source::People,
            station_hours: self.trips == Source::StationHours,
            station_days: (self.trips == Source::StationDays)
                .then(|| (month_of(first), month_of(last))),
            durations: self.durations,
            routes: false,
        }
    }

    /// Answers from those parts.
    pub(in crate::reports) fn answer(self, cube: &Cube, query: &Query<'_>) -> Groups {
        let mut coded = Coded::new(query.dims);
        match self.trips {
            Source::DayHours => coded.day_hours(&cube.day_hours.get(), query),
            Source::People => coded.people(&cube.people.get(), query),
            Source::StationHours => coded.stations(&cube.station_hours.kept(), query, true),
            Source::StationDays => {
                for month in cube.station_days.values() {
                    coded.stations(&month.kept(), query, false);
                }
            }
        }
        if self.durations {
            coded.durations(&cube.durations.get(), query);
        }
        let mut groups = Groups::default();
        coded.add_to(&mut groups);
        groups
    }
}

/// Returns whether the dates select whole years, if they select any.
fn whole_years(filters: &Filters) -> bool {
    let starts = filters.from.is_none_or(|date| date.day_of_year() == 1);
    starts && filters.to.is_none_or(|date| date == date.last_of_year())
}

impl Coded<'_> {
    fn day_hours(&mut self, days: &DayHours, query: &Query<'_>) {
        let hour_at = self.dims.iter().position(|dim| *dim == Dim::Hour);
        for (day, rider, bike, counts) in days.iter() {
            let filters = query.filters;
            if !(filters.has_day(day) && filters.has_rider(rider) && filters.has_bike(bike)) {
                continue;
            }
            let mut key = self.key(
                |dim| dim.of_day(day),
                |dim| match dim {
                    Dim::Rider => Some(Group::Rider(rider.clone())),
                    Dim::Bike => Some(Group::word(bike)),
                    _ => None,
                },
            );
            if let Some(place) = hour_at {
                for hour in 0..24 {
                    let trips = if filters.has_hour(hour) {
                        counts.starts[hour]
                    } else {
                        0
                    };
                    let stops = if query.needs.stops {
                        counts.stops[hour]
                    } else {
                        0
                    };
                    if trips != 0 || stops != 0 {
                        key[place] = hour as i32;
                        let group = self.group(key);
                        group.trips += trips;
                        group.stops += stops;
                    }
                }
                continue;
            }
            let hours = (0..24).filter(|hour| filters.has_hour(*hour));
            let trips: i64 = hours.map(|hour| counts.starts[hour]).sum();
            if trips == 0 {
                continue;
            }
            let group = self.group(key);
            group.trips += trips;
            if query.needs.stops {
                group.stops += counts.stops.iter().sum::<i64>();
            }
            if query.needs.ends {
                group.no_origin += counts.no_origin;
                group.no_destination += counts.no_destination;
                group.dockless += counts.dockless;
                group.round_trips += counts.round_trips;
            }
        }
    }

    fn people(&mut self, people: &People, query: &Query<'_>) {
        let year = |date: Option<jiff::civil::Date>| date.map(|date| date.year());
        let (from, to) = (year(query.filters.from), year(query.filters.to));
        for (person, trips) in people.iter() {
            let in_time = from.is_none_or(|from| from <= person.year)
                && to.is_none_or(|to| person.year <= to);
            if !in_time || !query.filters.has_rider(&person.rider) {
                continue;
            }
            let born = person.birth_year.map(i32::from);
            let key = self.key(
                |dim| match dim {
                    Dim::Year => Some(person.year.into()),
                    Dim::BirthYear => born,
                    Dim::Age => born.and_then(|born| age_in(person.year.into(), born)),
                    _ => None,
                },
                |dim| match dim {
                    Dim::Rider => Some(Group::Rider(person.rider.clone())),
                    Dim::Gender => Some(Group::word(&person.gender)),
                    _ => None,
                },
            );
            self.group(key).trips += trips;
        }
    }

    /// Counts departures of a grid, be its periods hours of the week or days.
    fn stations(&mut self, grid: &KeptGrid<'_>, query: &Query<'_>, of_week: bool) {
        let filters = query.filters;
        grid.each(|station, rider, periods| {
            let place = query.origins.and_then(|origins| origins.find(station));
            let Some(place) = place.filter(|_| filters.has_rider(rider)) else {
                return;
            };
            for (period, [departures, _]) in periods.iter().copied() {
                let counts = if of_week {
                    filters.has_weekday(period / 24) && filters.has_hour(period as usize % 24)
                } else {
                    filters.has_day(period)
                };
                if !counts || departures == 0 {
                    continue;
                }
                let key = self.key(
                    |dim| match (dim, of_week) {
                        (Dim::Station, _) => Some(place),
                        (Dim::Weekday, true) => Some(period / 24),
                        (Dim::Hour, true) => Some(period % 24),
                        (dim, _) => dim.of_day(period),
                    },
                    |dim| (dim == Dim::Rider).then(|| Group::Rider(rider.clone())),
                );
                self.group(key).trips += departures;
            }
        });
    }

    fn durations(&mut self, durations: &Durations, query: &Query<'_>) {
        for (rider, bike, seconds) in durations.iter() {
            if !query.filters.has_rider(rider) || !query.filters.has_bike(bike) {
                continue;
            }
            let key = self.key(
                |_| None,
                |dim| match dim {
                    Dim::Rider => Some(Group::Rider(rider.clone())),
                    Dim::Bike => Some(Group::word(bike)),
                    _ => None,
                },
            );
            let group = self.group(key);
            for (second, n) in seconds {
                *group.durations.entry(second).or_default() += n;
            }
        }
    }
}
