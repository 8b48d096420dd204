//! Checks `docs/FORMATS.md`: every example in it is read as the page states.

use std::collections::BTreeSet;
use std::io::Cursor;
use std::sync::Mutex;

use divvy::issue::{Reason, Rejected};
use divvy::model::civil_date::day_of_ms;
use divvy::model::{Flag, System, Systems, TripBatch};
use divvy::sources::station_feed::{self, Document, Feed};
use divvy::sources::station_list;
use divvy::sources::trips_csv::{ColumnMapping, TimeHints, TripReader};

const PAGE: &str = include_str!("../../../../docs/FORMATS.md");

/// An example: the label after the opening fence, and the text up to the closing one.
struct Example {
    language: &'static str,
    label: &'static str,
    text: &'static str,
}

fn examples(language: &str) -> Vec<Example> {
    let mut fences = PAGE.split("\n```");
    fences.next();
    let mut found = Vec::new();
    while let Some(block) = fences.next() {
        let (info, text) = block.split_once('\n').unwrap();
        let (language, label) = info.split_once(' ').unwrap_or((info, ""));
        found.push(Example {
            language,
            label,
            text,
        });
        fences.next();
    }
    found.retain(|example| example.language == language);
    assert!(!found.is_empty());
    found
}

fn read_trips(csv: &str) -> (&'static str, Vec<TripBatch>) {
    let bytes = csv.as_bytes().to_vec();
    let mut open = || Ok(Box::new(Cursor::new(bytes.clone())) as Box<_>);
    let mapping = ColumnMapping::detect(&mut open, "example", TimeHints::default()).unwrap();
    let form = mapping.form();
    let system = mapping.system();
    assert!(system.is_some(), "no system for {csv}");
    let rejects = Mutex::new(Vec::<Rejected>::new());
    let mut reader = TripReader::new(csv.as_bytes(), mapping, &system.unwrap(), "example").unwrap();
    let mut batches = Vec::new();
    while let Some(batch) = reader.next_batch(&rejects).unwrap() {
        batches.push(batch);
    }
    assert_eq!(rejects.into_inner().unwrap(), [], "{csv}");
    (form, batches)
}

#[test]
fn every_trip_form_has_an_example_that_is_read() {
    let mut forms = BTreeSet::new();
    for example in examples("csv") {
        let Some(form) = example.label.strip_prefix("trips ") else {
            continue;
        };
        let (found, batches) = read_trips(example.text);
        assert_eq!(found, form);
        let rows = example.text.lines().count() - 1;
        assert_eq!(batches.iter().map(TripBatch::len).sum::<usize>(), rows);
        for trip in batches.iter().flat_map(TripBatch::trips) {
            let flags: Vec<Flag> = trip.flags.iter().collect();
            assert!(
                flags.is_empty() || flags == [Flag::NoDestination],
                "{flags:?}: {}",
                example.text
            );
        }
        forms.insert(form);
    }
    let named: BTreeSet<&str> = PAGE
        .lines()
        .skip_while(|line| !line.starts_with("| form | used by"))
        .skip(2)
        .map_while(|line| line.strip_prefix("| `")?.split('`').next())
        .collect();
    assert_eq!(forms, named);
    assert_eq!(forms.len(), 17);
}

#[test]
fn the_examples_have_the_values_of_the_page() {
    let trip = |form: &str, nth: usize| {
        let examples = examples("csv");
        let mut of_form = examples
            .iter()
            .filter(|example| example.label.strip_prefix("trips ") == Some(form));
        let (_, batches) = read_trips(of_form.nth(nth).unwrap().text);
        batches[0].trip(0)
    };
    assert_eq!(trip("L2", 0).duration_s(), 1932);
    assert_eq!(trip("L3", 0).origin.unwrap().id_str(), "37");
    assert_eq!(trip("Capital Bikeshare", 0).duration_s(), 611);
    // The fourth of July 2016.
    assert_eq!(day_of_ms(trip("London", 0).started_ms), 16_986);
    assert_eq!(trip("Citi Bike", 0).gender.as_deref(), Some("Male"));
    assert_eq!(trip("Citi Bike", 2).birth_year, None);
    assert_eq!(trip("Citi Bike", 0).id.as_str().len(), 16);
}

#[test]
fn every_time_is_read() {
    for example in examples("text") {
        assert_eq!(example.label, "times");
        for time in example.text.lines() {
            let header = "trip_id,start_time,end_time,from_station_id,to_station_id";
            let (_, batches) = read_trips(&format!("{header}\n1,{time},{time},2,3\n"));
            assert_eq!(batches[0].len(), 1, "{time}");
        }
    }
}

#[test]
fn every_reason_and_flag_is_explained() {
    let names = Reason::ALL.map(Reason::as_str).into_iter();
    for name in names.chain(Flag::ALL.map(Flag::as_str)) {
        let cells = PAGE
            .lines()
            .filter(|line| line.starts_with("| `"))
            .filter_map(|line| line.split(" | ").next());
        assert_eq!(
            cells
                .filter(|cell| cell.contains(&format!("`{name}`")))
                .count(),
            1,
            "{name}"
        );
    }
}

#[test]
fn the_station_list_is_read() {
    let lists = examples("csv");
    let list = lists
        .iter()
        .find(|example| example.label == "stations")
        .unwrap();
    let form = station_list::recognise(list.text.as_bytes()).unwrap();
    let read = station_list::read(list.text.as_bytes(), form, "example").unwrap();
    assert_eq!((read.stations.len(), read.faults.len()), (2, 0));
    assert_eq!(read.stations[1].capacity, Some(19));
    for line in PAGE.lines().filter(|line| line.contains("| `id,name,")) {
        let header = line.split('`').nth(1).unwrap();
        assert!(
            station_list::recognise(header.as_bytes()).is_some(),
            "{header}"
        );
    }
}

#[test]
fn every_feed_is_what_its_label_says() {
    for example in examples("json") {
        let (kind, version) = example.label.split_once(' ').unwrap_or((example.label, ""));
        match station_feed::read(example.text.as_bytes(), "example.json").unwrap() {
            Document::Discovery(discovery) => {
                assert_eq!(kind, "discovery");
                assert_eq!(discovery.feeds.len(), 2);
            }
            Document::Feed(feed) => check_feed(&feed, kind, version),
            Document::VehicleTypes(_) => assert_eq!(kind, "vehicle_types"),
        }
    }
}

fn check_feed(feed: &Feed, kind: &str, version: &str) {
    assert_eq!(feed.kind.as_str(), kind);
    assert_eq!(feed.version.as_deref().unwrap_or_default(), version);
    assert_eq!(feed.stations.len(), 1);
    // The one departure: Lyft's flags.
    let faults: Vec<&str> = feed
        .faults
        .iter()
        .map(|fault| fault.field.as_ref())
        .collect();
    if (kind, version) == ("station_status", "2.3") {
        assert_eq!(faults, ["is_installed", "is_renting", "is_returning"]);
    } else {
        assert_eq!(faults, [""; 0]);
    }
    if kind == "stationBeanList" {
        assert_eq!(
            feed.systems(&Systems::default()),
            [System::named("divvy").unwrap()]
        );
    }
}
