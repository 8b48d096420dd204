//! `vehicle_types`: what the types that `station_status` counts are.
//!
//! <https://github.com/MobilityData/gbfs/blob/v3.0/gbfs.md#vehicle_typesjson>

use std::collections::BTreeMap;

use serde_json::Value;

use super::value::{self, Json};

/// The vehicle types of a system.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VehicleTypes {
    /// For each id whether it is a bicycle with a motor.
    is_ebike: BTreeMap<String, bool>,
}

impl VehicleTypes {
    /// Reads the document. `None` where it lists no types.
    pub(super) fn of(json: &Value) -> Option<Self> {
        let types = json.get("data")?.get("vehicle_types")?.as_array()?;
        let is_ebike = types.iter().filter_map(|vehicle| {
            let id = value::text(&Json::from(&vehicle["vehicle_type_id"])).value()?;
            let is = |field: &str, words: &[&str]| {
                let word = vehicle[field].as_str().unwrap_or_default();
                words.contains(&word)
            };
            let is_ebike = is("form_factor", &["bicycle", "cargo_bicycle"])
                && is("propulsion_type", &["electric_assist", "electric"]);
            Some((id, is_ebike))
        });
        Some(Self {
            is_ebike: is_ebike.collect(),
        })
    }

    /// Counts the e-bikes among vehicles that are counted by type. `None` if a type is not in the list.
    pub(super) fn ebikes(&self, counts: &[(String, u32)]) -> Option<u32> {
        counts.iter().try_fold(0_u32, |sum, (id, count)| {
            let ebikes = if *self.is_ebike.get(id)? { *count } else { 0 };
            Some(sum.saturating_add(ebikes))
        })
    }
}
