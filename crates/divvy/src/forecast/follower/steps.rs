//! What a follower does with one snapshot: forecasts that are due are scored, the system and its stations are
//! followed, models are trained when it is time, and forecasts are issued.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};

use super::super::issue::{Issue, Later};
use super::super::log::{Log, Readings};
use super::super::training::{Models, train};
use super::{Follower, GroupClaims, minute_of_hour};
use crate::history::{SnapshotEntry, StationState};
use crate::model::StationId;
use crate::model::civil_date::day_of_ms;
use crate::outlook::{Elapsed, Reading, Vehicles, minute_of};
use crate::store::{StatusHistory, StoreError};

/// How long after a failed training the next one is tried.
const RETRY: SignedDuration = SignedDuration::from_hours(6);

impl Follower {
    pub(super) fn set(&mut self, station: &StationId, state: Option<&StationState>) {
        let Some(log) = &mut self.log else { return };
        let index = *self.indexes.entry(station.clone()).or_insert_with(|| {
            log.stations.push(station.clone());
            // Also where the snapshot is not followed, because it is of the same minute as the one before.
            log.readings.push(Readings::default());
            log.followed_readings.push(Readings::default());
            log.recents.push(Default::default());
            self.minutes_of_hour.push(minute_of_hour(station));
            self.current.push(Readings::default());
            self.current.len() - 1
        });
        let reading = |vehicles| {
            let state = state?;
            Reading::of(state.status.as_ref(), &state.available, vehicles)
        };
        let readings = Vehicles::ALL.map(reading);
        if readings != self.current[index] {
            self.current[index] = readings;
            self.claims.retain(|(of, _), _| *of != index);
        }
    }

    /// Follows one snapshot, whose states are the current ones. Of several in one minute the first is
    /// followed, and none in which most stations have lost all bikes, or all free docks, at once.
    pub(super) async fn snapshot(
        &mut self,
        history: &dyn StatusHistory,
        entry: &SnapshotEntry,
    ) -> Result<(), StoreError> {
        let Some(log) = &mut self.log else {
            return Ok(());
        };
        let minute = minute_of(entry.taken_at);
        let is_first = log.number == 0;
        let before = if is_first {
            minute - 1
        } else {
            minute_of(log.taken_at)
        };
        if minute <= before {
            return Ok(());
        }
        let vehicles = Vehicles::All as usize;
        let readings = |index: usize| {
            let [before, now] = [&log.readings, &self.current];
            (before[index][vehicles], now[index][vehicles])
        };
        let stations = self.current.len();
        if !is_first && self.faults.is_fault(minute - before, readings, stations) {
            self.left_out += 1;
            return Ok(());
        }
        self.left_out = 0;
        self.score(before, minute);
        self.follow_conditions(minute);
        if let Some(log) = &mut self.log {
            log.readings.clone_from(&self.current);
        }
        if self.is_training_due(entry.taken_at) {
            self.train(history, entry.taken_at).await?;
        }
        self.issue(before, minute, entry.taken_at);
        if let Some(log) = &mut self.log {
            log.number = entry.number;
            log.taken_at = entry.taken_at;
        }
        Ok(())
    }

    /// Scores the forecasts that are due at a snapshot. `before` is the minute of the one before.
    fn score(&mut self, before: i64, minute: i64) {
        let (Some(log), Some(models)) = (&mut self.log, &self.models) else {
            return;
        };
        let Log {
            issues,
            readings,
            record,
            ..
        } = log;
        let zone = &self.calendar.zone;
        for issue in issues.iter_mut() {
            let vehicles = issue.vehicles as usize;
            let later = Later {
                before: (before, readings[issue.station][vehicles]),
                now: (minute, self.current[issue.station][vehicles]),
                cadence: models.cadence,
            };
            issue.take(later, &mut |outcome| {
                let issued = Timestamp::from_second(60 * outcome.minute).unwrap_or_default();
                let offset_s = i64::from(zone.offset_at(issued));
                let day = day_of_ms(1_000 * (60 * outcome.minute + offset_s));
                record.add(day, &outcome);
            });
        }
        issues.retain(|issue| !issue.is_over());
    }

    /// Follows the levels and the stations to a snapshot, unless it is less than the models' step after the
    /// one before.
    fn follow_conditions(&mut self, minute: i64) {
        let (Some(log), Some(models)) = (&mut self.log, &self.models) else {
            return;
        };
        let Some(since) = log.followed_minute else {
            return;
        };
        let minutes = usize::try_from(minute.saturating_sub(since)).unwrap_or(0);
        if minutes < models.step_min {
            return;
        }
        let elapsed = Elapsed::of(minutes);
        for group in &models.groups {
            let vehicles = group.vehicles as usize;
            let cadence = group.model.cadence();
            let stations = log
                .stations
                .iter()
                .enumerate()
                .filter_map(|(index, station)| {
                    let before = log.followed_readings[index][vehicles]?;
                    let now = self.current[index][vehicles]?;
                    Some((group.model.rates(station), before, now))
                });
            let slots: Vec<usize> = (0..minutes.min(cadence.max_age()))
                .map(|ahead| usize::from(self.calendar.slot(since + ahead as i64)))
                .collect();
            log.levels[vehicles].add_flows(minutes, cadence, stations, |ahead| slots[ahead]);
            for (index, station) in log.stations.iter().enumerate() {
                let rates = group.model.rates(station);
                let before = log.followed_readings[index][vehicles];
                let readings = (before, self.current[index][vehicles]);
                let recent = &mut log.recents[index][vehicles];
                recent.add(elapsed, cadence, rates, readings, |ahead| slots[ahead]);
            }
        }
        log.followed_minute = Some(minute);
        log.followed_readings.clone_from(&self.current);
    }

    pub(super) fn is_training_due(&self, now: Timestamp) -> bool {
        let is_tried = |(at, _): &(Timestamp, String)| now.duration_since(*at) < RETRY;
        let tried = self.log.as_ref().and_then(|log| log.tried.as_ref());
        if !self.may_train || tried.is_some_and(is_tried) {
            return false;
        }
        self.models
            .as_ref()
            .is_none_or(|models| now.duration_since(models.until) >= models.max_age())
    }

    /// Trains models on the snapshots until one. If that fails, the ones before are used further.
    pub(super) async fn train(
        &mut self,
        history: &dyn StatusHistory,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let trained = train(history, &self.system, now).await?;
        let Some(log) = &mut self.log else {
            return Ok(());
        };
        match trained {
            Err(untrained) => log.tried = Some((now, untrained.to_string())),
            Ok((models, ends)) => {
                log.tried = None;
                for (group, end) in models.groups.iter().zip(ends) {
                    let vehicles = group.vehicles as usize;
                    log.levels[vehicles] = end.level;
                    for (station, recents) in log.stations.iter().zip(&mut log.recents) {
                        recents[vehicles] = end.recents.get(station).copied().unwrap_or_default();
                    }
                }
                log.followed_minute = Some(minute_of(now));
                log.followed_readings.clone_from(&log.readings);
                self.claims.clear();
                self.models = Some(models);
                self.has_new_models = true;
            }
        }
        Ok(())
    }

    /// Returns the models, unless they were trained after the newest snapshot.
    pub(super) fn usable_models(&self) -> Option<&Models> {
        let log = self.log.as_ref()?;
        let models = self.models.as_ref()?;
        (minute_of(models.until) <= minute_of(log.taken_at) + 1).then_some(models)
    }

    /// Issues forecasts for the stations whose minute of the hour has come since the snapshot before.
    fn issue(&mut self, before: i64, minute: i64, taken_at: Timestamp) {
        let Some(log) = &mut self.log else { return };
        log.taken_at = taken_at;
        if log.issued_until.is_some_and(|until| minute <= until) {
            return;
        }
        let mut issues = Vec::new();
        for (index, minute_of_hour) in self.minutes_of_hour.iter().enumerate() {
            let since = (minute - minute_of_hour).rem_euclid(60);
            if since >= minute - before {
                continue;
            }
            issues.extend(self.issues_of(index, minute));
        }
        if let Some(log) = &mut self.log {
            log.issues.extend(issues);
        }
    }

    /// Makes the forecasts of a station for each group of vehicles that it counts.
    fn issues_of(&self, index: usize, minute: i64) -> Vec<Issue> {
        let (Some(log), Some(models)) = (&self.log, self.usable_models()) else {
            return Vec::new();
        };
        let groups: Vec<Vehicles> = models.groups.iter().map(|group| group.vehicles).collect();
        let issue = |mut of_group: GroupClaims| {
            let group = models.group(of_group.vehicles)?;
            let trained = group.model.horizons();
            let claims = &mut of_group.claims;
            claims.retain(|claim| trained.contains(&claim.horizon_min));
            Some(Issue::new(
                index,
                group.vehicles,
                minute,
                of_group.now,
                claims,
            ))
        };
        let trained = models
            .groups
            .iter()
            .flat_map(|group| group.model.horizons());
        let horizons: BTreeSet<usize> = trained.copied().collect();
        let horizons: Vec<usize> = horizons.into_iter().collect();
        let forecasts = self.claims_of_groups(&log.stations[index], &groups, &horizons);
        forecasts.into_iter().filter_map(issue).collect()
    }
}
