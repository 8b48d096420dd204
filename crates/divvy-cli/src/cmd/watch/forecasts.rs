//! The forecasts of all systems of a watch: followed after each snapshot, asked for by rules of alarms.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard};

use divvy::alarms::{Expectation, Forecasts};
use divvy::forecast::Follower;
use divvy::model::{StationId, System, SystemId};
use divvy::outlook::Event;
use divvy::store::{Store, StoreError};
use jiff::SignedDuration;

/// The forecasts of each system of which a snapshot has come.
#[derive(Default)]
pub struct LiveForecasts {
    /// Each is taken out while it is followed: a training takes seconds.
    followers: Mutex<BTreeMap<SystemId, Follower>>,
    /// Held by the worker that may train models: that takes some hundred megabytes.
    training: Mutex<()>,
}

impl LiveForecasts {
    fn followers(&self) -> MutexGuard<'_, BTreeMap<SystemId, Follower>> {
        self.followers
            .lock()
            .expect("no holder of this lock panics")
    }

    /// Issues forecasts after a snapshot, and scores those that are due. Models are trained by one worker at
    /// a time: others go on with those they have. Without effect on a store without a history.
    ///
    /// # Errors
    ///
    /// Those of the store.
    pub async fn follow(&self, store: &dyn Store, system: &System) -> Result<(), StoreError> {
        let training = self.training.try_lock();
        let known = self.followers().remove(&system.id);
        let mut follower = match known {
            Some(follower) => follower,
            None => Follower::open(store, system).await?,
        };
        follower.allow_training(training.is_ok());
        let followed = follower.follow_and_keep(store).await;
        self.followers().insert(system.id.clone(), follower);
        followed
    }

    /// Writes what is kept of a system at the end of a watch. Without effect where no snapshot has come.
    ///
    /// # Errors
    ///
    /// Those of the store.
    pub async fn keep(&self, store: &dyn Store, system: &SystemId) -> Result<(), StoreError> {
        let known = self.followers().remove(system);
        match known {
            Some(mut follower) => follower.keep(store).await,
            None => Ok(()),
        }
    }
}

impl Forecasts for LiveForecasts {
    fn probability(
        &self,
        system: &SystemId,
        station: &StationId,
        expected: Expectation,
        within: SignedDuration,
    ) -> Option<f64> {
        let event = match expected {
            Expectation::Empty => Event::EmptyWithin,
            Expectation::Full => Event::FullWithin,
        };
        let minutes = usize::try_from(within.as_secs()).ok()?.div_ceil(60);
        let mut followers = self.followers();
        followers
            .get_mut(system)?
            .probability(station, event, minutes)
    }

    fn is_paused(&self, system: &SystemId) -> bool {
        let followers = self.followers();
        followers
            .get(system)
            .is_some_and(|follower| follower.left_out() > 0)
    }
}
