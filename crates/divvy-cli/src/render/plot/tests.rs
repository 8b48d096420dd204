use divvy::reports::{Column, Filters, Map, MapStation, Note, Picture, REPORTS, Scope, Value};

use super::*;
use crate::render::colours::style_sheet;

const SHEET: Sheet = Sheet {
    layout: Layout::Wide,
    theme: Theme::File,
};

fn report(name: &str) -> &'static dyn Report {
    *REPORTS.iter().find(|it| it.name() == name).unwrap()
}

/// An answer with these columns of a report, and one row for each list of values.
fn answer(of: &str, names: &[&str], rows: Vec<Vec<Value>>) -> Table {
    let columns: Vec<Column> = names
        .iter()
        .map(|name| {
            let mut columns = REPORTS.iter().flat_map(|report| report.columns());
            let own = report(of).columns().into_iter().find(|it| it.name == *name);
            own.or_else(|| columns.find(|it| it.name == *name)).unwrap()
        })
        .collect();
    Table::of(columns, rows, vec![Note::Scope("7 trips".into())])
}

fn plot<'a>(of: &str, table: &'a Table, filters: &'a Filters) -> Plot<'a> {
    let system = divvy::model::System::sample();
    Plot::new(
        report(of),
        report(of).picture().unwrap(),
        table,
        None,
        (&system, filters),
    )
}

fn svg(of: &str, table: &Table, filters: &Filters) -> String {
    draw(&plot(of, table, filters), SHEET).unwrap().svg
}

/// Why there is no picture.
fn not_drawn(of: &str, table: &Table, filters: &Filters) -> String {
    draw(&plot(of, table, filters), SHEET)
        .err()
        .unwrap()
        .to_string()
}

/// The number of an attribute of the element with a tooltip.
fn number(svg: &str, tooltip: &str, attribute: &str) -> f64 {
    let before = svg.split(&format!("<title>{tooltip}")).next().unwrap();
    assert!(before.len() < svg.len(), "{tooltip}: {svg}");
    let element = &before[before.rfind('<').unwrap()..];
    let value = element.split(&format!(" {attribute}=\"")).nth(1).unwrap();
    value.split('"').next().unwrap().parse().unwrap()
}

fn sorted(column: &str) -> Filters {
    Filters {
        sort: Some(column.parse().unwrap()),
        ..Filters::default()
    }
}

#[test]
fn a_rider_has_the_same_colour_in_any_order_and_beside_any_group() {
    let rows = |riders: &[&str]| -> Vec<Vec<Value>> {
        riders
            .iter()
            .map(|rider| vec!["Monday".into(), (*rider).into(), 5_i64.into()])
            .collect()
    };
    for riders in [
        &["member", "casual"][..],
        &["casual", "member"],
        &["member"],
        &["dependent", "member"],
    ] {
        let table = answer("weekdays", &["weekday", "rider", "per_day"], rows(riders));
        let svg = svg("weekdays", &table, &Filters::default());
        let bar = svg.split("<title>Monday, member").next().unwrap();
        let bar = &bar[bar.rfind('<').unwrap()..];
        assert!(bar.contains("fill=\"#0072b2\""), "{riders:?}: {bar}");
    }
}

#[test]
fn what_is_not_stated_is_a_sentence_and_no_number_of_the_axis() {
    let rows = vec![
        vec![30_i64.into(), "member".into(), 5_i64.into()],
        vec![40_i64.into(), "member".into(), 6_i64.into()],
        vec![Value::Empty, "casual".into(), 9_000_i64.into()],
    ];
    let table = answer("ages", &["age", "rider", "trips"], rows);
    let svg = svg("ages", &table, &Filters::default());
    assert!(
        svg.contains("9,000 trips without a stated age not drawn"),
        "{svg}"
    );
    assert!(!svg.contains("<title>not stated"), "{svg}");
    assert!(
        number(&svg, "40, member: 6", "height") > 100.0,
        "the others use the axis"
    );
    let table = answer("ages", &["age", "rider", "trips"], table.rows[2..].to_vec());
    let why = not_drawn("ages", &table, &Filters::default());
    assert_eq!(
        why,
        "there is nothing to draw: no file states the age of these trips"
    );
}

#[test]
fn months_are_to_scale_with_gaps_and_stay_in_the_order_of_the_rows_if_sorted() {
    let month = |month: &str, trips: i64| vec![month.into(), "member".into(), trips.into()];
    let rows = vec![
        month("2020-03", 9),
        month("2020-04", 5),
        month("2021-04", 7),
    ];
    let mut table = answer("months", &["month", "rider", "trips"], rows);
    let left = |svg: &str, month: &str| number(svg, &format!("{month}, member"), "x");
    let drawn = svg("months", &table, &Filters::default());
    let step = left(&drawn, "2020-04") - left(&drawn, "2020-03");
    let gap = left(&drawn, "2021-04") - left(&drawn, "2020-04");
    assert!((gap / step - 12.0).abs() < 0.1, "{gap} {step}");
    let area = number(&drawn, "no trips stored from 2020-05 to 2021-03", "width");
    assert!((area / step - 11.0).abs() < 0.1, "{area} {step}");
    assert!(
        drawn.contains(">no trips stored<"),
        "the legend has it: {drawn}"
    );
    table.rows.swap(1, 2);
    let drawn = svg("months", &table, &sorted("trips"));
    assert!(
        !drawn.contains("no trips stored"),
        "sorted rows have no gaps"
    );
    let step = left(&drawn, "2021-04") - left(&drawn, "2020-03");
    let next = left(&drawn, "2020-04") - left(&drawn, "2021-04");
    assert!((step - next).abs() < 0.2, "{step} {next}");
}

/// The columns of the report of growth.
const GROWTH: [&str; 6] = [
    "month",
    "rider",
    "trips",
    "year_before",
    "growth",
    "complete",
];

#[test]
fn growth_has_both_years_and_marks_months_that_are_not_complete() {
    let rows = vec![
        vec![
            "2021-01".into(),
            "all".into(),
            50_i64.into(),
            Value::Empty,
            Value::Empty,
            Value::Truth(true),
        ],
        vec![
            "2022-01".into(),
            "all".into(),
            75_i64.into(),
            50_i64.into(),
            0.5.into(),
            Value::Truth(true),
        ],
        vec![
            "2022-02".into(),
            "all".into(),
            9_i64.into(),
            Value::Empty,
            Value::Empty,
            Value::Truth(false),
        ],
    ];
    let table = answer("growth", &GROWTH, rows);
    let svg = svg("growth", &table, &Filters::default());
    let before = number(&svg, "the year before 2022-01: 50", "height");
    let now = number(&svg, "2022-01: 75, a year before 50 (+50.0 %)", "height");
    assert!((now / before - 1.5).abs() < 0.02, "{now} {before}");
    assert_eq!(
        number(&svg, "2022-02: 9 (not all days)", "fill-opacity"),
        0.3
    );
    for text in [
        ">Trips by month, and of the same month a year before<",
        "<title>no trips stored from 2021-02 to 2021-12",
        "outline: a year before",
        "light: not all days of the month are stored",
    ] {
        assert!(svg.contains(text), "{svg}");
    }
}

#[test]
fn growth_of_a_single_year_is_in_the_middle_and_says_so() {
    let row = |month: &str, trips: i64| {
        let growth = [Value::Empty, Value::Empty, Value::Truth(true)];
        let row = [month.into(), "all".into(), trips.into()];
        row.into_iter().chain(growth).collect()
    };
    let table = answer("growth", &GROWTH, vec![row("2021-01", 50)]);
    let drawn = svg("growth", &table, &Filters::default());
    assert!(drawn.contains("(the same months a year before are not stored)"));
    let months = answer(
        "months",
        &GROWTH[..3],
        vec![row("2021-01", 50)[..3].to_vec()],
    );
    let months = svg("months", &months, &Filters::default());
    let left = |svg: &str, name: &str| number(svg, name, "x");
    assert_eq!(
        left(&drawn, "2021-01: 50"),
        left(&months, "2021-01, all: 50")
    );
}

#[test]
fn months_of_which_days_are_missing_are_light() {
    let month = |month: &str| vec![month.into(), "member".into(), 5_i64.into()];
    let mut table = answer(
        "months",
        &["month", "rider", "trips"],
        vec![month("2020-03"), month("2020-04")],
    );
    table.scope = Some(Scope {
        incomplete_months: vec!["2020-04".into()],
        ..Scope::default()
    });
    let svg = svg("months", &table, &Filters::default());
    assert_eq!(
        number(&svg, "2020-04, member: 5 (not all days)", "fill-opacity"),
        0.3
    );
    assert!(!svg.contains("2020-03, member: 5 (not"), "{svg}");
}

#[test]
fn stations_have_names_in_the_order_of_the_rows_and_long_ones_their_whole_name_as_tooltip() {
    let long = "Martin Luther King Jr Dr & East Oakwood Boulevard (Temporary) & Bronzeville";
    let rows = vec![
        vec!["a1".into(), "Canal St".into(), 5_i64.into()],
        vec!["b2".into(), long.into(), 50_i64.into()],
        vec!["c3".into(), "Canal St".into(), 7_i64.into()],
        vec!["d4".into(), Value::Empty, 1_i64.into()],
    ];
    let table = answer("stations", &["station_id", "name", "from_count"], rows);
    let svg = svg("stations", &table, &sorted("name"));
    assert!(
        svg.contains("The first 4 stations by name: trips that start there"),
        "{svg}"
    );
    let place = |text: &str| svg.find(text).unwrap();
    assert!(
        place("<title>Canal St: 5") < place(&format!("<title>{}: 50", long.replace('&', "&amp;")))
    );
    assert!(
        svg.contains("<title>Canal St: 7") && svg.contains("<title>d4: 1"),
        "{svg}"
    );
    assert!(
        svg.contains(&format!(
            "<title>{}</title>Martin",
            long.replace('&', "&amp;")
        )),
        "{svg}"
    );
}

#[test]
fn titles_follow_the_groups() {
    let rows = vec![vec!["2020-03".into(), "classic_bike".into(), 9_i64.into()]];
    let table = answer("weekdays", &["month", "bike", "per_day"], rows);
    let filters = Filters {
        by: vec![Dim::Month, Dim::Bike],
        ..Filters::default()
    };
    let svg = svg("weekdays", &table, &filters);
    assert!(
        svg.contains(">Trips per day by month and kind of bike<"),
        "{svg}"
    );
    assert!(svg.contains(">classic bike<"), "{svg}");
}

fn map_table(rows: Vec<Vec<Value>>, names: &[&str], of: &str) -> Table {
    let station = |at: i64| MapStation {
        id: at.to_string(),
        name: format!("St {at}"),
        latitude: 41.8 + at as f64 * 0.01,
        longitude: -87.6 - (at % 3) as f64 * 0.01,
        trips: 100 + at,
        net: 0,
    };
    let mut stations: Vec<MapStation> = (0..20).map(station).collect();
    stations.push(MapStation {
        latitude: 0.0,
        longitude: 0.0,
        trips: 1,
        ..station(99)
    });
    let mut table = answer(of, names, rows);
    table.map = Some(Map { stations });
    table
}

#[test]
fn a_map_names_the_largest_five_and_says_which_are_off_it() {
    let table = map_table(Vec::new(), &["name"], "balance");
    let filters = Filters::default();
    let svg = svg("balance", &table, &filters);
    assert!(
        svg.contains("1 station off the map (1 trip start or end there)"),
        "{svg}"
    );
    for at in 15..20 {
        assert!(svg.contains(&format!(">St {at}</text>")), "{at}: {svg}");
    }
    assert!(
        !svg.contains(">St 14</text>") && svg.contains(">100 trips</text>"),
        "{svg}"
    );
}

#[test]
fn routes_have_a_direction_and_those_back_to_the_start_are_rings() {
    let row = |from: &str, to: &str, trips: i64| vec![from.into(), to.into(), trips.into()];
    let rows = vec![
        row("1", "2", 9),
        row("2", "1", 5),
        row("3", "3", 4),
        row("4", "none", 3),
    ];
    let names = ["from_place_id", "to_place_id", "trips"];
    let table = map_table(rows, &names, "routes");
    let svg = svg("routes", &table, &Filters::default());
    let there = number_list(&svg, "St 1 to St 2: 9 trips");
    let back = number_list(&svg, "St 2 to St 1: 5 trips");
    assert_ne!(
        there[there.len() / 2],
        back[back.len() / 2],
        "each bends to its own side"
    );
    assert!(svg.contains("St 3, back to the start: 4 trips"), "{svg}");
    assert!(
        svg.contains("1 route to or from a station without a position not drawn"),
        "{svg}"
    );
}

/// The points of the line with a tooltip.
fn number_list(svg: &str, tooltip: &str) -> Vec<String> {
    let before = svg.split(&format!("<title>{tooltip}")).next().unwrap();
    let points = before.rsplit("points=\"").next().unwrap();
    let points = points.split('"').next().unwrap();
    points.split(' ').map(str::to_owned).collect()
}

#[test]
fn what_a_picture_ignores_is_refused() {
    let map = map_table(Vec::new(), &["name"], "balance");
    let by = |by: &[Dim]| Filters {
        by: by.to_vec(),
        ..Filters::default()
    };
    let top = Filters {
        top: Some(3),
        ..Filters::default()
    };
    let why = not_drawn("balance", &map, &by(&[Dim::Hour]));
    assert!(why.contains("leave --by hour out"), "{why}");
    assert!(not_drawn("balance", &map, &top).contains("leave --top 3 out"));
    assert!(not_drawn("durations", &map, &sorted("trips")).contains("leave --sort trips out"));
    let row = vec!["Monday".into(), 8_i64.into(), 5_i64.into()];
    let squares = answer("hours", &["weekday", "hour", "starts"], vec![row]);
    let why = not_drawn("hours", &squares, &top);
    assert!(
        why.contains("a square for every hour of every weekday: leave --top 3 out"),
        "{why}"
    );
    let dates = (0..61).map(|day| vec![format!("2021-01-{day}").as_str().into(), 5_i64.into()]);
    let dates = answer("days", &["date", "trips"], dates.collect());
    assert!(not_drawn("days", &dates, &sorted("trips")).contains("or add --top"));
}

#[test]
fn a_base_is_drawn_below_maps_and_refused_elsewhere() {
    let base = Base {
        lines: vec![vec![(-87.7, 41.8), (-87.5, 42.0)]],
        areas: Vec::new(),
    };
    let filters = Filters::default();
    for report in REPORTS.iter().filter(|report| report.picture().is_some()) {
        let row = vec!["1".into(), "2".into(), 5_i64.into()];
        let table = match report.name() {
            "routes" => map_table(
                vec![row],
                &["from_place_id", "to_place_id", "trips"],
                "routes",
            ),
            "balance" => map_table(Vec::new(), &["name"], "balance"),
            _ => Table::of(report.columns(), Vec::new(), Vec::new()),
        };
        let drawn = draw(
            &plot(report.name(), &table, &filters).with_base(Some(&base)),
            SHEET,
        );
        match drawn {
            Ok(drawing) => assert!(is_map(*report) && drawing.svg.contains("#9aa8b5")),
            Err(why) => {
                assert!(!is_map(*report));
                assert!(
                    why.to_string().contains("is no map: leave --base out"),
                    "{why}"
                );
            }
        }
    }
}

#[test]
fn no_rows_are_no_picture() {
    for report in REPORTS.iter().filter(|report| report.picture().is_some()) {
        let table = Table::of(report.columns(), Vec::new(), Vec::new());
        let filters = Filters {
            bike: Some("tandem".into()),
            ..Filters::default()
        };
        let expected = match report.picture() {
            Some(Picture::Reliability) => "no forecast of these is due and recorded",
            _ => "no trips match (bike tandem)",
        };
        assert_eq!(
            not_drawn(report.name(), &table, &filters),
            format!("there is nothing to draw: {expected}")
        );
    }
}

#[test]
fn pages_have_variables_for_colours_and_files_have_colours_on_white() {
    let rows = vec![vec!["Monday".into(), "member".into(), 5_i64.into()]];
    let table = answer("weekdays", &["weekday", "rider", "per_day"], rows);
    let filters = Filters::default();
    let plot = plot("weekdays", &table, &filters);
    let page = figures(&plot).unwrap();
    assert!(
        page.contains("fill=\"var(--member)\"") && page.contains("aria-label=\"Trips per day"),
        "{page}"
    );
    assert!(!page.contains("#0072b2"), "{page}");
    assert!(style_sheet().contains("--member: #0072b2;"));
    let file = file(&plot, Path::new("x.svg")).unwrap();
    let svg = String::from_utf8(file.bytes).unwrap();
    assert!(
        svg.contains("fill=\"#ffffff\"") && !svg.contains("var("),
        "{svg}"
    );
    let png = super::file(&plot, Path::new("x.PNG")).unwrap();
    assert!(png.bytes.starts_with(b"\x89PNG"));
}

#[test]
fn a_reliability_diagram_has_a_dot_for_forecasts_of_similar_probability_at_60_minutes() {
    let names = [
        "bikes_of",
        "horizon_min",
        "event",
        "forecast_from",
        "forecast",
        "observed",
        "n",
    ];
    let row = |bikes: &str, horizon: i64, from: Option<f64>, share: (f64, f64), n: i64| {
        vec![
            bikes.into(),
            horizon.into(),
            "empty_at".into(),
            from.into(),
            share.0.into(),
            share.1.into(),
            n.into(),
        ]
    };
    let rows = vec![
        row("all", 60, None, (0.1, 0.2), 1_040),
        row("all", 30, Some(0.0), (0.02, 0.03), 900),
        row("all", 60, Some(0.0), (0.05, 0.1), 1_000),
        row("all", 60, Some(0.5), (0.5, 0.5), 40),
        row("all", 60, Some(0.9), (0.95, 1.0), 7),
        row("ebike", 60, Some(0.2), (0.25, 0.2), 500),
    ];
    let table = answer("calibration", &names, rows);
    let svg = svg("calibration", &table, &Filters::default());
    assert!(svg.contains(">What was forecast 60 minutes ahead, and how often it happened<"));
    assert!(
        svg.contains("1,040 of ") && svg.contains("7 in groups of fewer than 30 not drawn"),
        "{svg}"
    );
    assert_eq!(svg.matches("<circle").count(), 2);
    let dot = "no bike then: 40 forecasts of 50.0 %, 50.0 % happened";
    let (x, y) = (number(&svg, dot, "cx"), number(&svg, dot, "cy"));
    let other = "no bike then: 1,000 forecasts of 5.0 %, 10.0 % happened";
    // The axes have no space beside them for other values: 100 % are as wide as the area.
    let across = (x - number(&svg, other, "cx")) / 0.45;
    let up = (number(&svg, other, "cy") - y) / 0.4;
    assert!(across > 800.0 && up > 250.0, "{across} {up}");
}
