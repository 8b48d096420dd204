//! The fields of a row by their source: a feed's information, its states, or station lists.

use crate::model::{Availability, FilledByLists, Station, StationSource};

/// The fields of a station that come from `station_information`.
#[derive(Default, PartialEq)]
pub(super) struct Information<'a> {
    name: Option<&'a str>,
    short_name: Option<&'a str>,
    legacy_id: Option<&'a str>,
    latitude: Option<&'a str>,
    longitude: Option<&'a str>,
    capacity: Option<u32>,
}

pub(super) fn information(station: &Station) -> Information<'_> {
    Information {
        name: station.name.as_deref(),
        short_name: station.short_name.as_deref(),
        legacy_id: station.legacy_id.as_deref(),
        latitude: station.latitude.as_ref().map(|degrees| degrees.as_str()),
        longitude: station.longitude.as_ref().map(|degrees| degrees.as_str()),
        capacity: station.capacity,
    }
}

/// Returns what the feed states of a row of the feed: its fields without those of station lists.
pub(super) fn feed_information(row: &Station) -> Information<'_> {
    match row.filled_by_lists {
        FilledByLists::Nothing => information(row),
        FilledByLists::Capacity => Information {
            capacity: None,
            ..information(row)
        },
        FilledByLists::Everything => Information::default(),
    }
}

/// Returns the fields of a station that come from `station_status`, except its report time.
pub(super) fn states(station: &Station) -> (Option<&str>, Availability) {
    (
        station.status.as_ref().map(|status| status.as_str()),
        station.available,
    )
}

/// Sets the fields of a row that come from station lists: all of one that no snapshot names, and the
/// capacity of one whose capacity no snapshot states. Each is that of the best form which has it.
///
/// The set of forms alone decides, not what the row showed before.
pub(super) fn show_lists(row: &mut Station) {
    let forms = &row.listed_as;
    let is_of_feed = row.source == StationSource::Feed;
    let stated = feed_information(row);
    let is_named = is_of_feed && stated != Information::default();
    if is_named && stated.capacity.is_some() {
        return;
    }
    let capacity = forms.iter().find_map(|form| form.capacity);
    let filled = if is_named {
        capacity.map(|_| FilledByLists::Capacity)
    } else {
        // The first form has a position if any has.
        let best = forms.first().cloned().unwrap_or_default();
        row.name = forms.iter().find_map(|form| form.name.clone());
        row.short_name = forms.iter().find_map(|form| form.short_name.clone());
        row.legacy_id = forms.iter().find_map(|form| form.legacy_id.clone());
        (row.latitude, row.longitude) = (best.latitude, best.longitude);
        (is_of_feed && !forms.is_empty()).then_some(FilledByLists::Everything)
    };
    row.capacity = capacity;
    row.filled_by_lists = filled.unwrap_or_default();
}
