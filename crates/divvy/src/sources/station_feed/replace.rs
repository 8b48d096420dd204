//! Replaces some stations of a feed, without reading the others again.

use super::Feed;

impl Feed {
    /// Takes over the file, the program and the time of `update` and its stations, which are the entries at `indexes` of a list
    /// of `entries`. Returns `false`, and the feed is not usable any more, where the result may differ
    /// from that of reading the whole list: if entries were left out, have departures from the
    /// specification or another id, or count vehicles by type.
    pub(in crate::sources) fn replace_stations(
        &mut self,
        entries: usize,
        indexes: &[usize],
        update: Self,
    ) -> bool {
        let is_complete = self.stations.len() == entries && update.stations.len() == indexes.len();
        let is_plain = |feed: &Self| feed.faults.is_empty() && feed.by_type.is_empty();
        let is_same_kind = self.kind == update.kind || indexes.is_empty();
        if !(is_complete && is_same_kind && is_plain(self) && is_plain(&update)) {
            return false;
        }
        self.file = update.file;
        self.made_by = update.made_by;
        self.time = update.time;
        self.version = update.version;
        self.local_reports
            .retain(|(index, _)| !indexes.contains(index));
        let local_reports = update.local_reports.iter();
        self.local_reports
            .extend(local_reports.map(|(index, ms)| (indexes[*index], *ms)));
        self.local_reports.sort_unstable();
        for (index, station) in indexes.iter().zip(update.stations) {
            let Some(replaced) = self.stations.get_mut(*index) else {
                return false;
            };
            if replaced.id != station.id {
                return false;
            }
            *replaced = station;
        }
        true
    }
}
