//! Strategies for arbitrary rows, for tests.

use divvy::model::{Flags, Rider, StationAlias, Trip, TripBatch, TripId, VehicleId};
use proptest::collection::vec;
use proptest::prelude::*;

use super::Rows;

/// A usual number, or one of a damaged file.
fn wild<T: proptest::arbitrary::Arbitrary + Copy + 'static>(
    usual: impl Strategy<Value = T> + 'static,
    extremes: [T; 3],
) -> impl Strategy<Value = T> {
    prop_oneof![
        12 => usual,
        1 => any::<T>(),
        1 => proptest::sample::select(extremes.to_vec()),
    ]
}

fn id() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => (10_000_000..10_100_000_u64).prop_map(|id| id.to_string()),
        2 => any::<u64>().prop_map(|id| format!("{id:016X}")),
        1 => any::<u64>().prop_map(|id| format!("{id:016x}")),
        1 => ".{0,12}",
        1 => "[0-9]{0,22}",
    ]
}

fn station() -> impl Strategy<Value = Option<StationAlias>> {
    let text = prop_oneof![
        6 => (1..40_u32).prop_map(|id| id.to_string()),
        2 => "TA13[0-9]{3}",
        1 => ".{1,9}",
        2 => "[1-4]\u{1f}[a-c]{1,2}",
    ];
    proptest::option::weighted(0.8, text.prop_map(StationAlias::from))
}

fn word() -> impl Strategy<Value = Option<Box<str>>> {
    let words = prop_oneof!["classic_bike", "electric_bike", ".{1,5}"];
    proptest::option::of(words.prop_map(Into::into))
}

fn degrees() -> impl Strategy<Value = i32> {
    wild(41_880_000..41_881_000, [i32::MIN + 1, i32::MAX, 0])
}

/// Starts and ends of one unit, in milliseconds, mostly.
fn time() -> impl Strategy<Value = i64> {
    let usual = (
        24_000_000..24_100_000_i64,
        prop_oneof![Just(0), Just(1000), 0..60_000_i64],
    );
    wild(
        usual.prop_map(|(minutes, ms)| minutes * 60_000 + ms),
        [i64::MIN, i64::MAX, 0],
    )
}

prop_compose! {
    pub fn trip()(
        (id, from, to) in (id(), (degrees(), degrees()), (degrees(), degrees())),
        started_ms in time(),
        lasts_ms in wild(0..10_000_000_i64, [i64::MIN, i64::MAX, -1]),
        offsets in (wild(Just(-18_000), [i32::MIN, i32::MAX, 1]), wild(Just(-18_000), [i32::MIN, i32::MAX, 1])),
        precision_ms in wild(Just(1000), [i32::MIN, i32::MAX, 60_000]),
        reported in proptest::option::of(wild(0..100_000, [i32::MIN + 1, i32::MAX, 0])),
        (origin, destination) in (station(), station()),
        vehicle in proptest::option::of("[1-9][0-9]{0,3}|.{1,4}"),
        (bike, rider, gender) in (word(), "member|casual|.{0,4}", word()),
        birth_year in proptest::option::of(wild(1930..2000_i16, [i16::MIN + 1, i16::MAX, 0])),
        ends in (any::<bool>(), any::<bool>()),
        flags in wild(Just(0_u16), [u16::MAX, 1, 4]),
    ) -> Trip {
        Trip {
            id: TripId::from(id),
            started_ms,
            started_offset_s: offsets.0,
            ended_ms: started_ms.wrapping_add(lasts_ms),
            ended_offset_s: offsets.1,
            precision_ms,
            reported_s: reported,
            origin,
            destination,
            vehicle: vehicle.map(VehicleId::from),
            bike,
            rider: Rider::parse(&rider),
            gender,
            birth_year,
            from: ends.0.then_some(from),
            to: ends.1.then_some(to),
            flags: Flags::from_bits(flags),
        }
    }
}

/// Arbitrary rows; three quarters have ids of one form.
pub fn rows() -> impl Strategy<Value = Rows> {
    let row = (
        trip(),
        wild(0..3_u32, [0, 1, u32::MAX]),
        wild(1..1000_u64, [0, 1, u64::MAX]),
    );
    let form = prop_oneof![Just(None), (0..3_u8).prop_map(Some)];
    (vec(row, 0..60), form).prop_map(|(rows, form)| {
        let mut batch: TripBatch = rows
            .iter()
            .enumerate()
            .map(|(at, (trip, ..))| {
                let id = (at as u64 + 7) * 1_000_003;
                let id = match form {
                    None => return trip.clone(),
                    Some(0) => id.to_string(),
                    Some(1) => format!("{id:016X}"),
                    Some(_) => format!("{id:08x}"),
                };
                Trip {
                    id: id.into(),
                    ..trip.clone()
                }
            })
            .collect();
        batch.line = rows.iter().map(|(_, _, line)| *line).collect();
        Rows {
            batch,
            member: rows.iter().map(|(_, member, _)| *member).collect(),
        }
    })
}

/// Returns the contents of rows, independent of their dictionaries.
pub fn contents(rows: &Rows) -> Vec<(Trip, u64, u32, [i32; 4])> {
    let batch = &rows.batch;
    (0..rows.len())
        .map(|row| {
            // A trip has both coordinates of an end or none; a batch need not.
            let degrees = [
                batch.from_latitude[row],
                batch.from_longitude[row],
                batch.to_latitude[row],
                batch.to_longitude[row],
            ];
            (batch.trip(row), batch.line[row], rows.member[row], degrees)
        })
        .collect()
}
