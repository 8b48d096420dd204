//! Writes trips as lines of text, in the form of each era.

use super::calendar::{Calendar, HOUR_MS};
use super::city::{DEGREE, Station};
use super::rng::mix;
use super::trips::{End, Trip};
use super::{Era, Publication, Quoting, TimeForm};

/// Writes the lines of one archive.
pub(super) struct Lines<'a> {
    era: Era,
    publication: &'static Publication,
    seed: u64,
    calendar: &'a Calendar,
}

impl<'a> Lines<'a> {
    pub(super) fn new(era: Era, seed: u64, calendar: &'a Calendar) -> Self {
        Self {
            era,
            publication: era.publication(),
            seed,
            calendar,
        }
    }

    /// Appends the header.
    pub(super) fn header(&self, text: &mut Vec<u8>) {
        let mut line = self.line(text);
        for name in self.publication.header.split(',') {
            line.text(name);
        }
        line.end();
    }

    /// Appends one trip.
    pub(super) fn trip(&self, trip: &Trip, text: &mut Vec<u8>) {
        match self.era {
            Era::Y2016 | Era::Y2018 => self.legacy(trip, self.line(text)),
            Era::Y2020 | Era::Y2024 => self.modern(trip, self.line(text)),
        }
    }

    fn legacy(&self, trip: &Trip, mut line: Line) {
        // Published ids are only roughly in order, because several servers assign them.
        let id = trip.number ^ (mix(self.seed ^ (trip.number >> 3)) & 7);
        line.number(self.publication.first_trip_id + id);
        self.clock(trip.start.ms, &mut line);
        self.clock(trip.end.ms, &mut line);
        line.number(trip.vehicle);
        let seconds = ((trip.end.ms / 1000) - (trip.start.ms / 1000)) as u64;
        match self.era {
            Era::Y2016 => line.number(seconds),
            _ => line.grouped_float(seconds),
        }
        for end in [&trip.start, &trip.end] {
            match end.station {
                Some(station) => {
                    line.number(u64::from(station.legacy_id));
                    line.text(&station.name);
                }
                None => line.blanks(2),
            }
        }
        line.text(if trip.is_member {
            "Subscriber"
        } else {
            "Customer"
        });
        line.text(trip.gender);
        match trip.birth_year {
            Some(year) => line.number(year as u64),
            None => line.text(""),
        }
        line.end();
    }

    fn modern(&self, trip: &Trip, mut line: Line) {
        line.hex(mix(mix(self.seed).wrapping_add(trip.number)));
        line.text(trip.bike.as_str());
        self.clock(trip.start.ms, &mut line);
        self.clock(trip.end.ms, &mut line);
        for end in [&trip.start, &trip.end] {
            self.station(end.station, &mut line);
        }
        for end in [&trip.start, &trip.end] {
            coordinates(end, &mut line);
        }
        line.text(if trip.is_member { "member" } else { "casual" });
        line.end();
    }

    fn station(&self, station: Option<&Station>, line: &mut Line) {
        let Some(station) = station else {
            line.blanks(2);
            return;
        };
        line.text(&station.name);
        match self.era {
            Era::Y2024 => line.text(&station.short_name),
            _ => line.number(u64::from(station.legacy_id)),
        }
    }

    fn clock(&self, ms: i64, line: &mut Line) {
        let hour = self.calendar.hour_at(ms);
        let of_hour_ms = (ms % HOUR_MS) as u64;
        line.open(true);
        line.bytes(hour.text.as_bytes());
        line.digits(of_hour_ms / 60_000, 2);
        line.bytes(b":");
        line.digits(of_hour_ms / 1000 % 60, 2);
        if self.publication.times == TimeForm::IsoMilliseconds {
            line.bytes(b".");
            line.digits(of_hour_ms % 1000, 3);
        }
        line.close(true);
    }

    fn line<'t>(&self, text: &'t mut Vec<u8>) -> Line<'t> {
        Line {
            text,
            quoting: self.publication.quoting,
            line_end: self.publication.line_end,
        }
    }
}

fn coordinates(end: &End, line: &mut Line) {
    match end.position {
        Some((latitude, longitude)) => {
            line.degrees(latitude);
            line.degrees(longitude);
        }
        None => line.blanks(2),
    }
}

/// A line that is being written. Every cell ends in a comma, and the last comma is replaced by the
/// line end.
struct Line<'t> {
    text: &'t mut Vec<u8>,
    quoting: Quoting,
    line_end: &'static str,
}

impl Line<'_> {
    fn text(&mut self, value: &str) {
        self.open(true);
        self.bytes(value.as_bytes());
        self.close(true);
    }

    fn number(&mut self, value: u64) {
        self.open(false);
        self.digits(value, 1);
        self.close(false);
    }

    /// Writes `316.0`, and `"1,048.0"` from a thousand on.
    fn grouped_float(&mut self, value: u64) {
        if value < 1000 {
            self.digits(value, 1);
            self.bytes(b".0,");
            return;
        }
        self.bytes(b"\"");
        self.digits(value / 1000, 1);
        self.bytes(b",");
        self.digits(value % 1000, 3);
        self.bytes(b".0\",");
    }

    fn hex(&mut self, value: u64) {
        self.open(true);
        for index in (0..16).rev() {
            let digit = b"0123456789ABCDEF"[(value >> (4 * index) & 15) as usize];
            self.text.push(digit);
        }
        self.close(true);
    }

    /// Writes billionths of a degree as a decimal number, without zeros at its end.
    fn degrees(&mut self, value: i64) {
        self.open(false);
        if value < 0 {
            self.bytes(b"-");
        }
        let (whole, part) = (
            value.unsigned_abs() / DEGREE as u64,
            value.unsigned_abs() % DEGREE as u64,
        );
        self.digits(whole, 1);
        if part > 0 {
            self.bytes(b".");
            self.digits(part, 9);
            while self.text.last() == Some(&b'0') {
                self.text.pop();
            }
        }
        self.close(false);
    }

    /// Writes cells without a value, which are in quotes only where all cells are.
    fn blanks(&mut self, cells: usize) {
        for _ in 0..cells {
            self.open(false);
            self.close(false);
        }
    }

    fn open(&mut self, is_text: bool) {
        if self.quotes(is_text) {
            self.text.push(b'"');
        }
    }

    fn close(&mut self, is_text: bool) {
        if self.quotes(is_text) {
            self.text.push(b'"');
        }
        self.text.push(b',');
    }

    fn quotes(&self, is_text: bool) -> bool {
        match self.quoting {
            Quoting::Nothing => false,
            Quoting::Texts => is_text,
            Quoting::Everything => true,
        }
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.text.extend_from_slice(bytes);
    }

    /// Writes a number with at least `width` digits.
    fn digits(&mut self, mut value: u64, width: usize) {
        let mut digits = [b'0'; 20];
        let mut at = digits.len();
        while value > 0 {
            at -= 1;
            digits[at] = b'0' + (value % 10) as u8;
            value /= 10;
        }
        self.bytes(&digits[at.min(digits.len() - width)..]);
    }

    fn end(self) {
        self.text.pop();
        self.text.extend_from_slice(self.line_end.as_bytes());
    }
}
