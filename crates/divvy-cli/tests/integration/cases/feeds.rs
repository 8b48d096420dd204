//! Feeds, in files and from a server.

use std::path::{Path, PathBuf};

use super::{server, walk};
use crate::program::{divvy, succeed};

/// A poll of files into an empty store.
struct Case {
    /// Below `shared/data/cases`.
    files: &'static [&'static str],
    exit: i32,
    /// Parts of what is printed to stderr.
    says: &'static [&'static str],
    /// The place of a station in the order of ids, and its bikes, e-bikes and docks.
    available: Option<(usize, &'static str)>,
}

const fn reads(files: &'static [&'static str], says: &'static [&'static str]) -> Case {
    Case {
        files,
        exit: 0,
        says,
        available: None,
    }
}

const fn refused(files: &'static [&'static str], says: &'static [&'static str]) -> Case {
    Case {
        exit: 2,
        ..reads(files, says)
    }
}

impl Case {
    const fn with(self, station: usize, available: &'static str) -> Self {
        Self {
            available: Some((station, available)),
            ..self
        }
    }
}

const CASES: &[Case] = &[
    refused(
        &[
            "40-last-updated/empty.station_information.json",
            "40-last-updated/empty.station_status.json",
        ],
        &["does not say when it was made"],
    ),
    refused(
        &[
            "40-last-updated/http-date.station_information.json",
            "40-last-updated/http-date.station_status.json",
        ],
        &["does not say when it was made"],
    ),
    refused(
        &[
            "40-last-updated/neg.station_information.json",
            "40-last-updated/neg.station_status.json",
        ],
        &["does not say when it was made"],
    ),
    refused(
        &[
            "40-last-updated/ns.station_information.json",
            "40-last-updated/ns.station_status.json",
        ],
        &["does not say when it was made"],
    ),
    refused(
        &[
            "40-last-updated/null.station_information.json",
            "40-last-updated/null.station_status.json",
        ],
        &["does not say when it was made"],
    ),
    refused(
        &[
            "40-last-updated/us.station_information.json",
            "40-last-updated/us.station_status.json",
        ],
        &["does not say when it was made"],
    ),
    refused(
        &[
            "40-last-updated/zero.station_information.json",
            "40-last-updated/zero.station_status.json",
        ],
        &["does not say when it was made"],
    ),
    refused(
        &[
            "40-last-updated/far-future.station_information.json",
            "40-last-updated/far-future.station_status.json",
        ],
        &["more than a day after it was read"],
    ),
    reads(
        &[
            "40-last-updated/float.station_information.json",
            "40-last-updated/float.station_status.json",
        ],
        &["2 stations at 2024-06-04T02:05:11-05:00"],
    )
    .with(0, "5,,15"),
    reads(
        &[
            "40-last-updated/ms.station_information.json",
            "40-last-updated/ms.station_status.json",
        ],
        &["2 stations at 2024-06-04T02:05:11-05:00"],
    )
    .with(0, "5,,15"),
    reads(
        &[
            "40-last-updated/rfc-basic-offset.station_information.json",
            "40-last-updated/rfc-basic-offset.station_status.json",
        ],
        &["2 stations at 2024-06-04T02:05:11-05:00"],
    )
    .with(0, "5,,15"),
    reads(
        &[
            "40-last-updated/rfc-nozone.station_information.json",
            "40-last-updated/rfc-nozone.station_status.json",
        ],
        &["2 stations at 2024-06-04T02:05:11-05:00"],
    )
    .with(0, "5,,15"),
    reads(
        &[
            "40-last-updated/rfc-space.station_information.json",
            "40-last-updated/rfc-space.station_status.json",
        ],
        &["2 stations at 2024-06-04T02:05:11-05:00"],
    )
    .with(0, "5,,15"),
    reads(
        &[
            "40-last-updated/rfc.station_information.json",
            "40-last-updated/rfc.station_status.json",
        ],
        &["2 stations at 2024-06-04T02:05:11-05:00"],
    )
    .with(0, "5,,15"),
    reads(
        &[
            "40-last-updated/string.station_information.json",
            "40-last-updated/string.station_status.json",
        ],
        &["2 stations at 2024-06-04T02:05:11-05:00"],
    )
    .with(0, "5,,15"),
    reads(
        &[
            "42-names/station_information.json",
            "42-names/station_status.json",
        ],
        &["9 stations", "name: expected a text, found []"],
    )
    .with(0, "3,,15"),
    reads(
        &[
            "43-twice/station_information.json",
            "43-twice/station_status.json",
        ],
        &["2 stations", "expected each station once"],
    )
    .with(0, "9,,15"),
    reads(
        &[
            "44-id-types/station_information.json",
            "44-id-types/station_status.json",
        ],
        &["8 stations", "station_id: expected a text, found 1"],
    ),
    reads(
        &[
            "46-stale-last-updated/1-information.json",
            "46-stale-last-updated/1-status.json",
        ],
        &["2 stations"],
    ),
    reads(
        &[
            "46-stale-last-updated/1-information.json",
            "46-stale-last-updated/2-status.json",
        ],
        &["2 stations"],
    ),
    reads(
        &[
            "50-docks-types/station_information.json",
            "50-docks-types/station_status.json",
            "50-docks-types/vehicle_types.json",
        ],
        &["8 stations"],
    )
    .with(4, "8,3,15"),
    reads(
        &[
            "53-winter/station_information.json",
            "53-winter/station_status.json",
        ],
        &["2 stations", "expected a time since 2010, found 0"],
    )
    .with(0, "0,,0"),
    refused(
        &["48-nested/data-is-list.json"],
        &[
            "no station feed",
            "expected stationBeanList or data.stations",
        ],
    ),
    refused(&["48-nested/no-envelope.json"], &["no station feed"]),
    refused(
        &["48-nested/station_information.json"],
        &["none of its 2 entries is a station"],
    ),
    refused(&["48-nested/stations-is-object.json"], &["no station feed"]),
    refused(
        &["48-nested/velib-upper.json"],
        &["does not say when it was made"],
    ),
    reads(&["54-json/bom.json"], &["2 stations"]),
    refused(&["54-json/cut.json"], &["ends in the middle"]),
    refused(&["54-json/dup-keys.json"], &["no station feed"]),
    refused(&["54-json/error-200.json"], &["found \"message\""]),
    refused(&["54-json/gz.json"], &["not compressed"]),
    refused(&["54-json/jsonp.json"], &["no JSON: it begins with"]),
    refused(&["54-json/latin1.json"], &["no UTF-8 text"]),
    refused(
        &["54-json/nan.json"],
        &["expected value at line 1 column 152; fetch it again"],
    ),
    refused(&["54-json/python-repr.json"], &["is damaged"]),
    refused(
        &["54-json/rate-limit.json"],
        &["found \"error, statusCode\""],
    ),
    refused(
        &["54-json/two-docs.json"],
        &["trailing characters at line 2"],
    ),
    refused(&["54-json/utf16.json"], &["no UTF-8 text"]),
    refused(&["55-beanlist/24h-pm.json"], &["2014-11-02 13:30:00 PM"]),
    refused(&["55-beanlist/citybikes-api.json"], &["no station feed"]),
    reads(
        &["55-beanlist/iso-time.json"],
        &["1 station at 2014-11-02T01:30:00-05:00"],
    )
    .with(0, "5,,9"),
    refused(
        &["55-beanlist/no-time.json"],
        &["expected a time in executionTime"],
    ),
    refused(&["55-beanlist/null-list.json"], &["no station feed"]),
    reads(
        &["55-beanlist/odd.json"],
        &["5 stations", "the station is stored without one"],
    )
    .with(0, "5,,9"),
    refused(
        &["50-docks-types/vehicle_types.json"],
        &["is vehicle_types, which holds no stations"],
    ),
    reads(
        &["51-discovery/oslo_si.json"],
        &[
            "2 stations",
            "expected a position in the area of the system",
        ],
    ),
];

/// The name, the exit status, and a part of what is printed to stderr.
const SERVED: &[(&str, i32, &str)] = &[
    ("nb.json", 0, "2 stations"),
    ("no-lang.json", 0, "2 stations"),
    ("no-lu.json", 0, "2 stations"),
    ("lu-string.json", 0, "2 stations"),
    ("relative.json", 0, "2 stations"),
    ("v31.json", 0, "1 station at"),
    ("redir.json", 0, "2 stations"),
    ("gzenc.json", 0, "2 stations"),
    ("si.json", 0, "2 stations"),
    (
        "versions.json",
        2,
        "is gbfs_versions, which holds no stations",
    ),
    ("manifest.json", 2, "is manifest, which holds no stations"),
    ("systems.json", 2, "no station feed"),
    ("feeds-404.json", 2, "nothere.json: the server answers 404"),
    (
        "free-only.json",
        2,
        "lists no station_information and no station_status",
    ),
    ("fb.json", 2, "is free_bike_status, which holds no stations"),
    ("403html.json", 2, "answers 403"),
    ("200html.json", 2, "is a web page"),
    ("500.json", 2, "answers 500"),
    ("429.json", 2, "too many requests"),
    ("short.json", 2, "the connection failed"),
    ("204.json", 2, "answers 204"),
    ("si.json.gz", 2, "not compressed"),
];

/// Files that served ones name, and those of the test of case 12.
const TRIED_WITH_OTHERS: &[&str] = &[
    "51-discovery/srv/ss.json",
    "51-discovery/srv/si3.json",
    "51-discovery/srv/ss3.json",
    "51-discovery/srv/vs3.json",
    "12-citibike-5379.10/station_information.json",
    "12-citibike-5379.10/station_status.json",
];

/// Lists the files that are tried, below `shared/data/cases`.
pub(super) fn files() -> impl Iterator<Item = &'static str> {
    let served = SERVED.iter().map(|(name, ..)| {
        let path: &str = Box::leak(format!("51-discovery/srv/{name}").into_boxed_str());
        path
    });
    let files = CASES.iter().flat_map(|case| case.files.iter().copied());
    files.chain(served).chain(TRIED_WITH_OTHERS.iter().copied())
}

/// Polls as Divvy. Returns the exit status and what is printed to stderr.
fn poll(folder: &Path, from: &[PathBuf]) -> (i32, String) {
    let mut command = divvy(folder);
    command.arg("poll").args(from).args(["--system", "divvy"]);
    let output = command.output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    (output.status.code().unwrap(), errors)
}

/// Returns bikes, e-bikes and docks of each station, in the order of ids.
fn available(folder: &Path) -> Vec<String> {
    let report = [
        "report",
        "stations",
        "--format",
        "csv",
        "--sort",
        "station_id",
    ];
    let (stations, _) = succeed(divvy(folder).args(report));
    let rows = stations.lines().skip(1);
    let cells = rows.map(|row| row.split(',').collect::<Vec<_>>());
    cells.map(|cells| cells[5..8].join(",")).collect()
}

#[test]
fn every_feed_is_read_or_refused_in_a_sentence() {
    walk(CASES, |cases, case| {
        let folder = tempfile::tempdir().unwrap();
        let files: Vec<PathBuf> = case.files.iter().map(|file| cases.join(file)).collect();
        let (exit, errors) = poll(folder.path(), &files);
        assert_eq!(exit, case.exit, "{:?}: {errors}", case.files);
        for part in case.says {
            assert_eq!(
                errors.matches(part).count(),
                1,
                "{:?}: {errors}",
                case.files
            );
        }
        if let Some((station, expected)) = case.available {
            assert_eq!(
                available(folder.path())[station],
                expected,
                "{:?}",
                case.files
            );
        }
    });
}

#[test]
fn every_served_feed_is_read_or_refused_in_a_sentence() {
    walk(&[()], |cases, ()| {
        let address = server::serve(cases.join("51-discovery/srv"));
        for (name, expected, part) in SERVED {
            let folder = tempfile::tempdir().unwrap();
            let url = format!("http://{address}/{name}").into();
            let (exit, errors) = poll(folder.path(), &[url]);
            assert_eq!(exit, *expected, "{name}: {errors}");
            assert!(errors.contains(part), "{part} in {name}: {errors}");
        }
    });
}

/// Case 46: the time of the feed stands still while its states change.
#[test]
fn states_are_taken_from_a_feed_whose_clock_stands_still() {
    walk(&[()], |cases, ()| {
        let case = cases.join("46-stale-last-updated");
        let folder = tempfile::tempdir().unwrap();
        let files = |status: &str| [case.join("1-information.json"), case.join(status)];
        poll(folder.path(), &files("1-status.json"));
        assert_eq!(available(folder.path())[0], "5,,15");
        let (exit, errors) = poll(folder.path(), &files("2-status.json"));
        assert!(
            exit == 0 && errors.contains("the publisher's clock stands still"),
            "{errors}"
        );
        assert_eq!(available(folder.path())[0], "0,,20");
    });
}
