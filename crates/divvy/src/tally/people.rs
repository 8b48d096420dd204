//! Trips by age and gender.

use std::collections::BTreeMap;
use std::ops::Range;

use rustc_hash::FxHashMap;

use super::packed::{Pack, Packer, Unpacker};
use super::rows::Rows;
use crate::model::civil_date::date_of;
use crate::model::{NONE_I16, Rider};

/// Trips by year of the trip, year of birth, gender and rider.
#[derive(Clone, Debug, Default)]
pub struct People(BTreeMap<Person, i64>);

/// The attributes of a rider.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Person {
    /// The year in which the trip starts.
    pub year: i16,
    /// `None` if the file does not state it.
    pub birth_year: Option<i16>,
    /// As published; empty if the file does not state it.
    pub gender: Box<str>,
    /// The rider.
    pub rider: Rider,
}

/// The years of birth that are counted separately. The first is not one: its index counts trips without
/// a year.
const BORN: Range<i16> = 1889..2018;

/// Pairs of gender and rider with a place of their own.
const MOST_SQUARES: usize = 64;

impl People {
    /// Lists the number of trips of each person.
    pub fn iter(&self) -> impl Iterator<Item = (&Person, i64)> {
        self.0.iter().map(|(person, n)| (person, *n))
    }

    pub(super) fn count(&mut self, rows: &Rows<'_>, times: i64) {
        let batch = rows.batch;
        let mut counts: FxHashMap<(i16, i16, u32, u32), i64> = FxHashMap::default();
        let (words, riders) = (batch.words.len(), rows.riders.len());
        // Nearly all are born in these years or have no year: an array is faster than a map.
        let square = (words * riders).min(MOST_SQUARES) * BORN.len();
        let slot = |born: i16, gender: u32, rider: u32| {
            let born = match born {
                NONE_I16 => BORN.start,
                born if born > BORN.start && BORN.contains(&born) => born,
                _ => return None,
            };
            let place = gender as usize * riders + rider as usize;
            let known = place < MOST_SQUARES;
            known.then_some(place * BORN.len() + (born - BORN.start) as usize)
        };
        rows.by_day(1, |piece, places, days| {
            let years: Vec<i16> = days.iter().map(|day| date_of(*day).year()).collect();
            let mut dense: Vec<(i16, Vec<i32>)> = Vec::new();
            let year_place = years.iter().map(|year| {
                let known = dense.iter().position(|(known, _)| known == year);
                known.unwrap_or_else(|| {
                    dense.push((*year, vec![0; square]));
                    dense.len() - 1
                })
            });
            let year_place: Vec<usize> = year_place.collect();
            for (row, day) in piece.zip(places) {
                let rider = rows.rider_of[batch.rider[row] as usize];
                let (born, gender) = (batch.birth_year[row], batch.gender[row]);
                match slot(born, gender, rider) {
                    Some(slot) => dense[year_place[*day as usize]].1[slot] += 1,
                    None => {
                        let key = (years[*day as usize], born, gender, rider);
                        *counts.entry(key).or_default() += times;
                    }
                }
            }
            for (year, cells) in dense {
                for (slot, n) in cells.into_iter().enumerate().filter(|(_, n)| *n != 0) {
                    let born = BORN.start + (slot % BORN.len()) as i16;
                    let born = if born == BORN.start { NONE_I16 } else { born };
                    let place = slot / BORN.len();
                    let key = (year, born, (place / riders) as u32, (place % riders) as u32);
                    *counts.entry(key).or_default() += times * i64::from(n);
                }
            }
        });
        for ((year, birth_year, gender, rider), n) in counts {
            if n != 0 {
                let person = Person {
                    year,
                    birth_year: (birth_year != NONE_I16).then_some(birth_year),
                    gender: batch.words.text(gender).into(),
                    rider: rows.riders[rider as usize].clone(),
                };
                super::add(&mut self.0, person, n);
            }
        }
    }
}

impl Pack for People {
    fn pack(&self, out: &mut Packer) {
        if self.0.is_empty() {
            return;
        }
        let mut genders: Vec<&str> = self.0.keys().map(|person| &*person.gender).collect();
        genders.sort_unstable();
        genders.dedup();
        let mut riders: Vec<&Rider> = self.0.keys().map(|person| &person.rider).collect();
        riders.sort_unstable();
        riders.dedup();
        out.texts(genders.iter().copied());
        out.texts(riders.iter().map(|rider| rider.as_str()));
        out.size(self.0.len());
        let mut last = (0, 0);
        for (person, n) in &self.0 {
            let year = i64::from(person.year);
            let born = i64::from(person.birth_year.unwrap_or(NONE_I16));
            out.signed(year - last.0);
            out.signed(born - last.1);
            last = (year, born);
            let gender = genders.binary_search(&&*person.gender);
            let rider = riders.binary_search(&&person.rider);
            out.size(gender.expect("the list has been made of all of them"));
            out.size(rider.expect("the list has been made of all of them"));
            out.signed(*n);
        }
    }

    fn unpack(bytes: &mut Unpacker<'_>) -> Option<Self> {
        let genders = bytes.texts()?;
        let riders: Vec<Rider> = bytes.texts()?.into_iter().map(Rider::parse).collect();
        let mut people = BTreeMap::new();
        let mut last = (0, 0);
        for _ in 0..bytes.size()? {
            last = (last.0 + bytes.signed()?, last.1 + bytes.signed()?);
            let born = i16::try_from(last.1).ok()?;
            let gender = *genders.get(usize::try_from(bytes.number()?).ok()?)?;
            let rider = riders.get(usize::try_from(bytes.number()?).ok()?)?;
            let person = Person {
                year: i16::try_from(last.0).ok()?,
                birth_year: (born != NONE_I16).then_some(born),
                gender: gender.into(),
                rider: rider.clone(),
            };
            people.insert(person, bytes.signed()?);
        }
        Some(Self(people))
    }

    fn merge(&mut self, other: &Self) {
        for (person, n) in &other.0 {
            super::add(&mut self.0, person.clone(), *n);
        }
    }
}
