use divvy::model::{Flags, Rider, StationAlias, Trip};
use proptest::collection::vec;
use proptest::prelude::*;

use super::any::{contents, rows};
use super::*;

proptest! {
    #[test]
    fn what_is_encoded_is_decoded(rows in rows(), level in proptest::sample::select(vec![1, 19])) {
        let block = encode(&rows, level);
        let back = decode(&block).unwrap();
        prop_assert_eq!(contents(&back), contents(&rows));
        // The same again, though the dictionaries are now in another order.
        prop_assert_eq!(encode(&back, level), block);
    }

    #[test]
    fn gathered_rows_have_the_same_values(parts in vec(rows(), 0..4)) {
        let mut gatherer = Gatherer::default();
        parts.iter().for_each(|part| gatherer.add(part));
        let apart: Vec<_> = parts.iter().flat_map(contents).collect();
        prop_assert_eq!(contents(&gatherer.into_rows()), apart);
    }

    #[test]
    fn a_changed_byte_is_noticed(rows in rows(), at in any::<proptest::sample::Index>(), by in 1..=255_u8) {
        let mut block = encode(&rows, 1);
        let at = at.index(block.len());
        block[at] ^= by;
        prop_assert!(decode(&block).is_err());
        block.truncate(at);
        prop_assert!(decode(&block).is_err());
    }

    /// The checksum may match by intent.
    #[test]
    fn any_columns_are_read_or_refused(
        rows in rows(),
        edits in vec((any::<proptest::sample::Index>(), any::<u8>()), 1..5),
    ) {
        let mut raw = byte_planes::unpack(&encode(&rows, 1)[9..]).unwrap();
        for (at, byte) in edits {
            let at = at.index(raw.len());
            raw[at] = byte;
        }
        if let Ok(rows) = decode::read(&raw) {
            contents(&rows);
            prop_assert_eq!(contents(&decode(&encode(&rows, 1)).unwrap()), contents(&rows));
        }
    }

    #[test]
    fn any_bytes_are_read_or_refused(mut packed in vec(any::<u8>(), 0..200)) {
        let mut block = vec![VERSION];
        block.extend(xxh3_64(&packed).to_le_bytes());
        block.append(&mut packed);
        let _ = decode(&block);
    }

    #[test]
    fn packing_loses_nothing_and_knows_no_order(rows in rows(), other in any::<u64>()) {
        let mut packed = Vec::new();
        pack(&rows, &mut |block| packed.push(block));
        let mut back = Vec::new();
        for block in &packed {
            let rows = decode(&block.block).unwrap();
            prop_assert_eq!(rows.len(), block.n as usize);
            for (trip, ..) in contents(&rows) {
                prop_assert_eq!(&trip.origin.as_ref().map(StationAlias::id), &block.origin);
                prop_assert_eq!(Month::of(trip.started_ms), block.month);
            }
            back.extend(contents(&rows));
        }
        let sorted = |mut rows: Vec<(Trip, u64, u32, [i32; 4])>| {
            rows.sort_by_key(|row| format!("{row:?}"));
            rows
        };
        prop_assert_eq!(sorted(back), sorted(contents(&rows)));

        // Rows of the same member and line have no order of their own.
        let mut places: Vec<_> = rows.member.iter().zip(&rows.batch.line).collect();
        places.sort();
        prop_assume!(places.windows(2).all(|pair| pair[0] != pair[1]));
        let mut order: Vec<u32> = (0..rows.len() as u32).collect();
        order.sort_by_key(|row| xxh3_64(&(u64::from(*row) ^ other).to_le_bytes()));
        let shuffled = Rows {
            batch: rows.batch.select(&order),
            member: order.iter().map(|row| rows.member[*row as usize]).collect(),
        };
        let mut again = Vec::new();
        pack(&shuffled, &mut |block| again.push(block));
        prop_assert_eq!(again, packed);
    }

    #[test]
    fn a_month_is_what_the_calendar_says(day in -4_371_587..2_932_896_i32, ms in 0..86_400_000_i64) {
        let date = jiff::civil::date(1970, 1, 1)
            .checked_add(jiff::Span::new().days(day))
            .unwrap();
        let month = Month::of(i64::from(day) * 86_400_000 + ms);
        prop_assert_eq!(month.0, i64::from(date.year() - 1970) * 12 + i64::from(date.month()) - 1);
        prop_assert_eq!(month.to_string().parse(), Ok(month));
    }
}

#[test]
fn blocks_are_cut_below_their_limit() {
    // Ids that no order foretells, so that every row takes its bytes.
    let trip = |n: u64| Trip {
        id: format!("{:016X}", xxh3_64(&n.to_le_bytes())).into(),
        started_ms: 1_718_000_000_000 + 977 * (n as i64),
        started_offset_s: -18_000,
        ended_ms: 1_718_000_600_000 + 1409 * (n as i64),
        ended_offset_s: -18_000,
        precision_ms: 1,
        reported_s: None,
        origin: Some("TA1309000067".into()),
        destination: Some("13022".into()),
        vehicle: None,
        bike: None,
        rider: Rider::Member,
        gender: None,
        birth_year: None,
        from: None,
        to: None,
        flags: Flags::NONE,
    };
    let mut batch: TripBatch = (0..20_000).map(trip).collect();
    batch.line = (2..20_002).collect();
    let mut packed = Vec::new();
    pack(&Rows::of_member(batch, 0), &mut |block| packed.push(block));
    assert!(packed.len() > 3, "{}", packed.len());
    for (part, block) in packed.iter().enumerate() {
        assert_eq!(block.part as usize, part);
        assert!(block.block.len() <= MAX_BLOCK, "{}", block.block.len());
    }
    assert_eq!(packed.iter().map(|block| block.n).sum::<u32>(), 20_000);
    assert_eq!(packed[0].month.to_string(), "2024-06");
}

#[test]
fn another_version_is_another_error() {
    let mut block = encode(&Rows::default(), 1);
    assert_eq!(decode(&block).unwrap(), Rows::default());
    block[0] = 9;
    assert_eq!(decode(&block).unwrap_err(), BlockError::Version(9));
    assert_eq!(decode(&[]).unwrap_err(), BlockError::Damaged("the head"));
}
