//! The forms of trip files since 2010, as a table.
//!
//! To add a form, add a row to [`FORMS`].

use super::column_names::Column;

/// The trip ids of a form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum IdKind {
    /// A whole number, perhaps with thousands commas.
    Digits,
    /// 16 hexadecimal digits.
    Hex16,
    /// Any text.
    Text,
    /// None: an id is derived from the row.
    Derived,
}

/// Where the ids of stations are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum StationIds {
    /// In columns of their own.
    Columns,
    /// In columns of their own, in some files filled up with zeros: `001108` is `1108`.
    Padded,
    /// In the names: `Marble & U St NW (31111)`. Where they are not there, the names are the ids.
    Names,
}

/// A system that publishes a form.
#[derive(Debug)]
pub(super) struct Publisher {
    /// The system's id.
    pub system: &'static str,
    /// Shapes of its station ids in this form, as [`IdShape::new`](crate::model::IdShape::new) reads
    /// them. Empty where they have many.
    pub ids: &'static [&'static str],
    /// The normalised names of all columns that it has ever published in this form. Empty where they
    /// are not known.
    pub columns: &'static [&'static str],
}

const fn publisher(system: &'static str) -> Publisher {
    Publisher {
        system,
        ids: &[],
        columns: &[],
    }
}

/// A family of headers.
#[derive(Debug)]
pub(super) struct Form {
    /// Its name in `docs/FORMATS.md`.
    pub name: &'static str,
    /// Normalised names of columns that are all in its header, and not all in a form further down in
    /// [`FORMS`].
    identifying: &'static [&'static str],
    pub id: IdKind,
    /// The systems that are known to publish it. Others may.
    pub publishers: &'static [Publisher],
    /// Its columns have names that no other system uses, so that the header alone identifies it.
    pub is_own: bool,
    /// Its dates have the day first.
    pub day_first: bool,
    /// Normalised names of columns that mean something else in other forms.
    pub columns: &'static [(Column, &'static [&'static str])],
    pub station_ids: StationIds,
}

/// What most forms have in common.
const PLAIN: Form = Form {
    name: "",
    identifying: &[],
    id: IdKind::Derived,
    publishers: &[],
    is_own: false,
    day_first: false,
    columns: &[],
    station_ids: StationIds::Columns,
};

/// Divvy until 2020: its station ids, and every column in any of its forms.
const LEGACY_DIVVY: Publisher = Publisher {
    system: "divvy",
    ids: &["2..999"],
    columns: &[
        "tripid",
        "starttime",
        "stoptime",
        "endtime",
        "bikeid",
        "tripduration",
        "fromstationid",
        "fromstationname",
        "tostationid",
        "tostationname",
        "usertype",
        "gender",
        "birthyear",
        "birthday",
        // the city's portal
        "fromlatitude",
        "fromlongitude",
        "fromlocation",
        "tolatitude",
        "tolongitude",
        "tolocation",
        // L3
        "01rentaldetailsrentalid",
        "01rentaldetailslocalstarttime",
        "01rentaldetailslocalendtime",
        "01rentaldetailsbikeid",
        "01rentaldetailsdurationinsecondsuncapped",
        "03rentalstartstationid",
        "03rentalstartstationname",
        "02rentalendstationid",
        "02rentalendstationname",
        "membergender",
        "05memberdetailsmemberbirthdayyear",
    ],
};

const PRONTO: Publisher = Publisher {
    ids: &["@@-##", "@@@-##"],
    ..publisher("pronto")
};

const LEGACY_DIVVY_ALONE: &[Publisher] = &[LEGACY_DIVVY];

const CAPITAL_BIKESHARE: &[Publisher] = &[Publisher {
    ids: &["30000..34999"],
    columns: &[
        "duration",
        "durationms",
        "durationsec",
        "totaldurationms",
        "startdate",
        "enddate",
        "startstation",
        "startstationnumber",
        "startterminal",
        "endstation",
        "endstationnumber",
        "endterminal",
        "bike",
        "bikenumber",
        "membertype",
        "accounttype",
        "subscribertype",
        "subscriptiontype",
        "type",
    ],
    ..publisher("capitalbikeshare")
}];

/// Those whose trips Lyft publishes.
const LYFT: &[Publisher] = &[
    publisher("divvy"),
    publisher("citibike"),
    publisher("capitalbikeshare"),
    publisher("bluebikes"),
    publisher("baywheels"),
    publisher("biketown"),
];

/// Those whose trips had the form of Citi Bike.
const CITI_BIKE: &[Publisher] = &[
    publisher("citibike"),
    publisher("bluebikes"),
    publisher("baywheels"),
];

const LONDON: Form = Form {
    name: "London",
    id: IdKind::Digits,
    publishers: &[publisher("santander")],
    is_own: true,
    day_first: true,
    ..PLAIN
};

const BIXI: Form = Form {
    name: "BIXI",
    publishers: &[publisher("bixi")],
    is_own: true,
    ..PLAIN
};

const TORONTO: Form = Form {
    name: "Toronto",
    id: IdKind::Digits,
    publishers: &[Publisher {
        ids: &["7000..8999"],
        ..publisher("toronto")
    }],
    ..PLAIN
};

/// The forms. The first whose identifying columns are all in a header is the file's.
static FORMS: &[Form] = &[
    Form {
        name: "M",
        identifying: &["rideid", "startedat", "endedat"],
        id: IdKind::Hex16,
        publishers: LYFT,
        ..PLAIN
    },
    Form {
        name: "L3",
        identifying: &["01rentaldetailsrentalid", "01rentaldetailslocalstarttime"],
        id: IdKind::Digits,
        publishers: LEGACY_DIVVY_ALONE,
        is_own: true,
        ..PLAIN
    },
    Form {
        name: "city portal",
        identifying: &[
            "tripid",
            "starttime",
            "stoptime",
            "fromstationid",
            "fromlatitude",
        ],
        id: IdKind::Digits,
        publishers: LEGACY_DIVVY_ALONE,
        ..PLAIN
    },
    Form {
        name: "L1",
        identifying: &["tripid", "starttime", "stoptime", "fromstationid"],
        id: IdKind::Digits,
        publishers: &[LEGACY_DIVVY, PRONTO],
        ..PLAIN
    },
    Form {
        name: "L2",
        identifying: &["tripid", "starttime", "endtime", "fromstationid"],
        id: IdKind::Digits,
        publishers: LEGACY_DIVVY_ALONE,
        ..PLAIN
    },
    Form {
        name: "L1",
        identifying: &["tripid", "starttime", "stoptime", "fromstationname"],
        id: IdKind::Digits,
        publishers: &[LEGACY_DIVVY, PRONTO],
        ..PLAIN
    },
    Form {
        name: "L2",
        identifying: &["tripid", "starttime", "endtime", "fromstationname"],
        id: IdKind::Digits,
        publishers: LEGACY_DIVVY_ALONE,
        ..PLAIN
    },
    Form {
        identifying: &["rentalid", "startdate", "enddate"],
        ..LONDON
    },
    Form {
        name: "London since 2022",
        identifying: &["number", "startdate", "startstationnumber", "enddate"],
        station_ids: StationIds::Padded,
        ..LONDON
    },
    Form {
        name: "Bay Area Bike Share",
        identifying: &["tripid", "startdate", "startterminal", "endterminal"],
        id: IdKind::Digits,
        publishers: &[publisher("baywheels")],
        is_own: true,
        ..PLAIN
    },
    Form {
        name: "Capital Bikeshare",
        identifying: &["startdate", "startstationnumber", "endstationnumber"],
        publishers: CAPITAL_BIKESHARE,
        ..PLAIN
    },
    Form {
        name: "Capital Bikeshare",
        identifying: &["startdate", "startterminal", "endterminal", "bike"],
        publishers: CAPITAL_BIKESHARE,
        ..PLAIN
    },
    Form {
        name: "Capital Bikeshare until 2014",
        identifying: &["startdate", "startstation", "endstation", "bike"],
        publishers: CAPITAL_BIKESHARE,
        is_own: true,
        station_ids: StationIds::Names,
        ..PLAIN
    },
    Form {
        name: "Bicycle Transit",
        identifying: &["tripid", "starttime", "endtime", "passholdertype"],
        id: IdKind::Digits,
        publishers: &[publisher("indego"), publisher("metro")],
        columns: &[
            (Column::OriginId, &["startstationid", "startstation"]),
            (Column::OriginName, &["startstationname"]),
            (Column::DestinationId, &["endstationid", "endstation"]),
            (Column::DestinationName, &["endstationname"]),
        ],
        ..PLAIN
    },
    Form {
        identifying: &["tripid", "tripstarttime", "tripstoptime", "fromstationid"],
        is_own: true,
        ..TORONTO
    },
    Form {
        identifying: &["tripid", "tripstarttime", "tripstoptime", "fromstationname"],
        is_own: true,
        ..TORONTO
    },
    Form {
        identifying: &["tripid", "starttime", "endtime", "startstationid"],
        ..TORONTO
    },
    Form {
        name: "Citi Bike",
        identifying: &["starttime", "startstationid", "endstationid", "bikeid"],
        publishers: CITI_BIKE,
        ..PLAIN
    },
    Form {
        name: "Citi Bike",
        identifying: &["starttime", "startstationname", "endstationname", "bikeid"],
        publishers: CITI_BIKE,
        ..PLAIN
    },
    Form {
        identifying: &["startdate", "startstationcode", "endstationcode"],
        ..BIXI
    },
    Form {
        identifying: &["startdate", "emplacementpkstart", "emplacementpkend"],
        ..BIXI
    },
    Form {
        name: "BIXI since 2022",
        identifying: &["starttimems", "endtimems", "startstationname"],
        station_ids: StationIds::Names,
        ..BIXI
    },
    Form {
        name: "MiBici",
        identifying: &["viajeid", "iniciodelviaje", "findelviaje"],
        id: IdKind::Digits,
        publishers: &[publisher("mibici")],
        is_own: true,
        ..PLAIN
    },
    Form {
        name: "Ecobici",
        identifying: &["fecharetiro", "horaretiro", "fechaarribo", "horaarribo"],
        publishers: &[publisher("ecobici")],
        is_own: true,
        day_first: true,
        ..PLAIN
    },
];

/// The form of files whose columns the user has named in `systems.toml`, with trip ids.
pub(super) static NAMED_BY_USER: Form = Form {
    name: "systems.toml",
    id: IdKind::Text,
    ..PLAIN
};

/// The same without trip ids.
pub(super) static NAMED_BY_USER_WITHOUT_IDS: Form = Form {
    name: "systems.toml",
    ..PLAIN
};

impl Form {
    /// Finds the form of a header by the normalised names of its columns. `None` for one of no
    /// published form.
    pub(super) fn of(normal: &[String]) -> Option<&'static Self> {
        let has = |column: &&str| normal.iter().any(|name| name == column);
        FORMS.iter().find(|form| form.identifying.iter().all(has))
    }
}
