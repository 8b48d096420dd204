//! Which rows a station list writes.
//!
//! Lists have no time. A row keeps each form in which a list has its id, whatever else has named it,
//! and shows the best of them where no snapshot states more: which list was read first does not
//! matter.

use std::borrow::Borrow;

use super::fields::show_lists;
use super::{StationData, Write};
use crate::model::{ListedStation, Station, StationSource};
use crate::tally::Totals;

impl StationData {
    /// Adds the stations of a published list to the forms in which lists have their ids. The names,
    /// positions and capacities that rows show follow: those of a row of the feed where no snapshot
    /// states any.
    ///
    /// `totals` are those of all stored trips; they are read only if the list states something new.
    ///
    /// # Errors
    ///
    /// Those of `totals`. The rows are then incomplete and must be dropped.
    pub fn describe<T: Borrow<Totals>, E>(
        &mut self,
        listed: &[Station],
        totals: impl FnOnce() -> Result<T, E>,
    ) -> Result<Vec<Write>, E> {
        let mut is_new = self.is_unresolved;
        for station in listed {
            let form = ListedStation::from(station);
            let stored = self.rows.get(&station.id).map(|row| &row.station);
            if stored.is_some_and(|row| row.listed_as.contains(&form)) {
                continue;
            }
            let row = self.edit(&station.id);
            row.listed_as.insert(form);
            row.source = row.source.max(StationSource::List);
            show_lists(row);
            is_new = true;
        }
        if is_new {
            self.resolve(totals()?.borrow());
        }
        Ok(self.take_writes(None))
    }
}
