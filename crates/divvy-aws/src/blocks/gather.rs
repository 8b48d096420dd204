//! Concatenation of rows from many batches.

use std::collections::HashMap;

use divvy::model::{Dictionary, TripBatch};

use super::Rows;

/// Concatenates the rows of many batches.
#[derive(Default)]
pub struct Gatherer {
    rows: Rows,
    stations: Indexes,
    vehicles: Indexes,
    words: Indexes,
}

/// The index of each text in a dictionary.
#[derive(Default)]
struct Indexes(HashMap<Box<str>, u32>);

impl Indexes {
    /// Returns the index in `ours` of each text of `theirs`; adds missing texts.
    fn translate(&mut self, theirs: &Dictionary, ours: &mut Dictionary) -> Vec<u32> {
        let mut indexes = vec![0];
        for text in theirs.iter().skip(1) {
            indexes.push(match self.0.get(text) {
                Some(index) => *index,
                None => *self.0.entry(text.into()).or_insert(ours.push(text)),
            });
        }
        indexes
    }
}

impl Gatherer {
    /// Appends rows.
    pub fn add(&mut self, rows: &Rows) {
        let TripBatch {
            id_bytes,
            id_ends,
            started_ms,
            started_offset_s,
            ended_ms,
            ended_offset_s,
            precision_ms,
            reported_s,
            origin,
            destination,
            vehicle,
            bike,
            rider,
            gender,
            birth_year,
            from_latitude,
            from_longitude,
            to_latitude,
            to_longitude,
            flags,
            line,
            stations,
            vehicles,
            words,
            names: _,
        } = &rows.batch;
        let ours = &mut self.rows.batch;
        let station = self.stations.translate(stations, &mut ours.stations);
        let vehicle_index = self.vehicles.translate(vehicles, &mut ours.vehicles);
        let word = self.words.translate(words, &mut ours.words);
        let start = ours.id_bytes.len() as u32;
        ours.id_bytes.extend_from_slice(id_bytes);
        ours.id_ends.extend(id_ends.iter().map(|end| start + end));
        ours.started_ms.extend_from_slice(started_ms);
        ours.started_offset_s.extend_from_slice(started_offset_s);
        ours.ended_ms.extend_from_slice(ended_ms);
        ours.ended_offset_s.extend_from_slice(ended_offset_s);
        ours.precision_ms.extend_from_slice(precision_ms);
        ours.reported_s.extend_from_slice(reported_s);
        for (to, from, indexes) in [
            (&mut ours.origin, origin, &station),
            (&mut ours.destination, destination, &station),
            (&mut ours.vehicle, vehicle, &vehicle_index),
            (&mut ours.bike, bike, &word),
            (&mut ours.rider, rider, &word),
            (&mut ours.gender, gender, &word),
        ] {
            to.extend(from.iter().map(|index| indexes[*index as usize]));
        }
        ours.birth_year.extend_from_slice(birth_year);
        ours.from_latitude.extend_from_slice(from_latitude);
        ours.from_longitude.extend_from_slice(from_longitude);
        ours.to_latitude.extend_from_slice(to_latitude);
        ours.to_longitude.extend_from_slice(to_longitude);
        ours.flags.extend_from_slice(flags);
        ours.line.extend_from_slice(line);
        self.rows.member.extend_from_slice(&rows.member);
    }

    /// Returns the rows in the order in which they were appended.
    pub fn into_rows(self) -> Rows {
        self.rows
    }
}
