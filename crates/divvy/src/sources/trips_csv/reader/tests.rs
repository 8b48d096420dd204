use super::*;
use crate::model::MAX_STATION_ID_BYTES;
use crate::sources::trips_csv::TimeHints;

/// Reads rows of Divvy's newest form. Returns the trips, the number of rows, and lines and
/// reasons of the rejected ones.
fn read(rows: &[String]) -> (TripBatch, u64, Vec<(u64, String)>) {
    const HEADER: &str = "ride_id,rideable_type,started_at,ended_at,start_station_name,\
        start_station_id,end_station_name,end_station_id,start_lat,start_lng,end_lat,\
        end_lng,member_casual";
    let text = format!("{HEADER}\n{}\n", rows.join("\n"));
    let bytes = text.clone().into_bytes();
    let mut open = || -> std::io::Result<Box<dyn Read + Send>> {
        Ok(Box::new(std::io::Cursor::new(bytes.clone())))
    };
    let mapping = ColumnMapping::detect(&mut open, "trips.csv", TimeHints::default()).unwrap();
    let divvy = System::named("divvy").unwrap();
    let mut reader = TripReader::new(text.as_bytes(), mapping, &divvy, "trips.csv").unwrap();
    let rejected = std::sync::Mutex::default();
    let batch = reader.next_batch(&rejected).unwrap().unwrap_or_default();
    let rejected: Vec<Rejected> = rejected.into_inner().unwrap();
    let described = |row: Rejected| (row.line, format!("{}: {}", row.column, row.expected));
    (
        batch,
        reader.rows_read(),
        rejected.into_iter().map(described).collect(),
    )
}

/// A row; `origin` has the cells with name and id of the origin.
fn row(n: usize, origin: &str) -> String {
    format!(
        "{n:016X},classic_bike,2024-04-01 10:00:00,2024-04-01 10:10:00,{origin},B,13002,41.88,\
         -87.63,41.89,-87.64,member"
    )
}

#[test]
fn an_unclosed_quote_costs_its_own_row() {
    for open in ["A,\"13009", "\"A,13009"] {
        // Closed by the quote of a cell, by one within a cell, by one that opens.
        for close in ["A,13001\"", "A\"x,13001", "\"A\",13001"] {
            let mut rows: Vec<String> = (0..34).map(|n| row(n, "A,13001")).collect();
            rows[1] = row(1, open);
            rows[32] = row(32, close);
            let (trips, rows_read, rejected) = read(&rows);
            assert_eq!((trips.len(), rows_read), (33, 34), "{open} {close}");
            let expected = [(3, ": a closing quote".to_owned())];
            assert_eq!(rejected, expected, "{open} {close}");
        }
    }
    // A line end within a name is part of the name.
    let (trips, rows_read, rejected) = read(&[row(0, "\"A\nwest, side\",13001"), row(1, "A,2")]);
    assert_eq!((trips.len(), rows_read, rejected.len()), (2, 2, 0));
}

#[test]
fn a_quote_that_the_next_cell_closes_costs_its_row() {
    let quoted = |n: usize| format!("\"{}\"", row(n, "A,13001").replace(',', "\",\""));
    let torn = quoted(1).replace("\"13001\"", "\"13001");
    let cut = quoted(2).trim_end_matches('"').to_owned();
    let (trips, rows_read, rejected) = read(&[quoted(0), torn, cut, quoted(3)]);
    assert_eq!((trips.len(), rows_read), (2, 4));
    let expected = [3, 4].map(|line| (line, ": a closing quote".to_owned()));
    assert_eq!(rejected, expected);
}

#[test]
fn rows_end_in_lf_crlf_or_cr() {
    for ends in [
        ["\r"; 3],
        ["\r\n"; 3],
        ["\n", "\r", "\r\n"],
        ["\r\r\n", "\r", "\n"],
    ] {
        let rows: String = (0..9)
            .map(|n| row(n, "\"A\rB\",13001") + ends[n % 3])
            .collect();
        let (trips, rows_read, rejected) = read(&[rows]);
        assert_eq!(
            (trips.len(), rows_read, rejected.len()),
            (9, 9, 0),
            "{ends:?}"
        );
    }
}

#[test]
fn only_names_go_over_several_lines() {
    let (trips, rows_read, rejected) = read(&[
        row(0, "\"A\nB\",13001"),
        row(1, "A,\"13\n001\""),
        row(2, "A,\"13\r001\""),
        row(3, "A,\"13001\n\""),
    ]);
    assert_eq!((trips.len(), rows_read), (2, 4));
    let expected = "start_station_id: a value on one line".to_owned();
    assert_eq!(rejected, [(4, expected.clone()), (6, expected)]);
}

#[test]
fn rows_follow_the_nearest_header() {
    let other = "ride_id,rideable_type,ended_at,started_at,end_station_name,end_station_id,\
        start_station_name,start_station_id,start_lat,start_lng,end_lat,end_lng,member_casual";
    let swapped = "00000000000000AA,classic_bike,2024-04-01 10:10:00,2024-04-01 10:00:00,B,13002,A,\
        13001,41.88,-87.63,41.89,-87.64,member";
    let rows = [row(0, "A,13001"), other.to_owned(), swapped.to_owned()];
    let (trips, rows_read, rejected) = read(&[&rows[..], &rows[1..]].concat());
    assert_eq!((trips.len(), rows_read), (3, 5));
    let expected = ": a trip, not a header again".to_owned();
    assert_eq!(rejected, [(3, expected.clone()), (5, expected)]);
    for trip in 0..trips.len() {
        assert_eq!(trips.origin_id(trip), "13001", "{trip}");
    }
}

#[test]
fn an_id_that_is_too_long_costs_its_row() {
    let id = |length: usize| format!("A,{}", "9".repeat(length));
    let (trips, rows_read, rejected) = read(&[
        row(0, &id(MAX_STATION_ID_BYTES)),
        row(1, &id(MAX_STATION_ID_BYTES + 1)),
        row(2, "A,7"),
    ]);
    assert_eq!((trips.len(), rows_read), (2, 3));
    let expected = "start_station_id: an id of at most 1024 bytes";
    assert_eq!(rejected, [(3, expected.to_owned())]);
}

#[test]
fn names_that_alternate_are_each_listed_once() {
    let names = ["Lake St", "Lake St (Temp)", "Lake Street"];
    let rows: Vec<String> = (0..30)
        .map(|n| row(n, &format!("{},13001", names[n % 3])))
        .collect();
    let (trips, ..) = read(&rows);
    let mut found: Vec<&str> = trips.names.iter().map(|name| &*name.name).collect();
    found.sort_unstable();
    assert_eq!(found, ["B", "Lake St", "Lake St (Temp)", "Lake Street"]);
}
