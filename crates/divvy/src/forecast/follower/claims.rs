//! What a follower forecasts for a station from the newest snapshot that it follows.

use super::Follower;
use crate::model::StationId;
use crate::outlook::{Claim, Event, Reading, Vehicles, minute_of};

/// A forecast for a station that has not changed is used again for so many minutes.
const CLAIM_MAX_AGE_MIN: i64 = 5;

/// The forecasts for one group of the vehicles of a station.
#[derive(Clone, Debug, PartialEq)]
pub struct GroupClaims {
    /// The vehicles.
    pub vehicles: Vehicles,
    /// What the station has now.
    pub now: Reading,
    /// A claim a horizon, in their order.
    pub claims: Vec<Claim>,
}

impl Follower {
    /// Forecasts a station at horizons, ascending: what it has now, and a claim a horizon. `None` where it
    /// has no reading, or neither a bike nor a dock, and where the group of vehicles has no model.
    pub fn claims(
        &self,
        station: &StationId,
        vehicles: Vehicles,
        horizons: &[usize],
    ) -> Option<(Reading, Vec<Claim>)> {
        let of_group = self
            .claims_of_groups(station, &[vehicles], horizons)
            .pop()?;
        Some((of_group.now, of_group.claims))
    }

    /// Forecasts a station for groups of vehicles, see [`Self::claims`]. Groups without a forecast are left
    /// out. The claims of a group are bounded by those of all vehicles: see [`Claim::bounded_by`].
    pub fn claims_of_groups(
        &self,
        station: &StationId,
        groups: &[Vehicles],
        horizons: &[usize],
    ) -> Vec<GroupClaims> {
        let all = self.claims_of_model(station, Vehicles::All, horizons);
        let of_group = |vehicles: &Vehicles| {
            let mut of_group = match *vehicles {
                Vehicles::All => return all.clone(),
                vehicles => self.claims_of_model(station, vehicles, horizons)?,
            };
            let all = all.iter().flat_map(|all| &all.claims);
            for (claim, all) in of_group.claims.iter_mut().zip(all) {
                claim.bounded_by(all);
            }
            Some(of_group)
        };
        groups.iter().filter_map(of_group).collect()
    }

    /// Forecasts a station by the model of a group of vehicles alone.
    fn claims_of_model(
        &self,
        station: &StationId,
        vehicles: Vehicles,
        horizons: &[usize],
    ) -> Option<GroupClaims> {
        let log = self.log.as_ref()?;
        let group = self.usable_models()?.group(vehicles)?;
        let index = *self.indexes.get(station)?;
        let now = log.readings[index][vehicles as usize]?;
        if group.model.rates(station).places(now) == 0 {
            return None;
        }
        let minute = minute_of(log.taken_at);
        let slot = |ahead: usize| usize::from(self.calendar.slot(minute + ahead as i64));
        let level = log.levels[vehicles as usize].level();
        let recent = log.recents[index][vehicles as usize].recent();
        let claims = group
            .model
            .claims(station, (vehicles, now), (level, recent), horizons, slot);
        Some(GroupClaims {
            vehicles,
            now,
            claims,
        })
    }

    /// Returns the probability that an event happens to a station at or within so many minutes from the
    /// newest snapshot on, 1 where it is the case now. `None` where it is not forecast, and while the newest snapshots
    /// are not followed: see [`Self::left_out`].
    ///
    /// It is calculated when it is asked for, and again when the station has changed, or after five minutes.
    pub fn probability(
        &mut self,
        station: &StationId,
        event: Event,
        minutes: usize,
    ) -> Option<f64> {
        let now = minute_of(self.taken_at().filter(|_| self.left_out == 0)?);
        let index = *self.indexes.get(station)?;
        let key = (index, minutes);
        let is_current = |(made, _): &&(i64, Option<Claim>)| now - *made < CLAIM_MAX_AGE_MIN;
        if self.claims.get(&key).filter(is_current).is_none() {
            let claims = self.claims(station, Vehicles::All, &[minutes]);
            let claim = claims.and_then(|(_, mut claims)| claims.pop());
            self.claims.insert(key, (now, claim));
        }
        let reading = self.log.as_ref()?.readings[index][Vehicles::All as usize]?;
        if event.is_within() && event.count(reading) == Some(0) {
            return Some(1.0);
        }
        self.claims.get(&key)?.1.as_ref()?.probability(event)
    }
}
