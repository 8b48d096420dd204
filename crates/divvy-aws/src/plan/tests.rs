use proptest::prelude::*;

use super::*;

/// About what 2.1 million trips of 2016 are.
fn workload() -> Workload {
    Workload {
        rows: 2_100_000,
        copies: 0,
        rows_with_origin: 2_100_000,
        items: Items {
            n: 2_100_000,
            bytes: 2_100_000 * 270,
            write_units: 2_100_000,
            index_n: 2_100_000,
            index_bytes: 2_100_000 * 33,
            index_write_units: 2_100_000,
            count_read_units: 8_750.0,
        },
        blocks: Some(Items {
            n: 3_600,
            bytes: 19_000_000,
            write_units: 20_400,
            index_n: 3_600,
            index_bytes: 3_600 * 60,
            index_write_units: 3_600,
            count_read_units: 290.0,
        }),
        whole_items_read_units: 70_930.0,
        json_bytes: 900_000_000,
        origins: 580,
        ledger_bytes: 5_000_000,
        cube_bytes: 800_000,
        ledger_replaced_bytes: 0,
    }
}

fn terms(units: u32) -> Terms {
    Terms {
        capacities: Some(Capacities::each(Some(Units {
            write: units,
            read: units,
        }))),
        free_tier: true,
        ..Terms::default()
    }
}

fn of(method: LoadMethod, terms: &Terms) -> Forecast {
    let all = forecasts(&workload(), terms);
    all.into_iter()
        .find(|forecast| forecast.method == method)
        .unwrap()
}

#[test]
fn five_units_take_as_long_as_the_slowest_table() {
    let rows = of(LoadMethod::Rows, &terms(5));
    assert_eq!(rows.load_s, Some(2_100_000.0 / 5.0 - 300.0));
    assert_eq!(rows.refresh_s, 8_750.0 / 5.0 - 300.0);
    assert_eq!(rows.once_usd, 0.0);
    let packed = of(LoadMethod::Packed, &terms(5));
    assert_eq!(packed.load_s, Some(20_400.0 / 5.0 - 300.0));
    assert_eq!(packed.refresh_s, 0.0);
    // Nothing saved up.
    let busy = Terms {
        busy: true,
        ..terms(5)
    };
    assert_eq!(of(LoadMethod::Packed, &busy).load_s, Some(4_080.0));
    // The original program reads whole items.
    let seed = of(LoadMethod::Original, &terms(5));
    assert_eq!(seed.refresh_s, 70_930.0 / 5.0 - 300.0);
}

#[test]
fn on_demand_is_paid_by_request() {
    let rows = of(LoadMethod::RowsOnDemand, &terms(5));
    let units = rows.table_write_units + rows.index_write_units + rows.other_write_units;
    let expected = units * 0.625e-6 + rows.read_units * 0.125e-6;
    assert!((rows.once_usd - expected).abs() < 1e-9);
    assert_eq!(rows.load_s, Some(525.0));
    assert_eq!(rows.idle_usd_month, 0.0);
    assert!(
        rows.live_usd_month > 0.5 && rows.live_usd_month < 5.0,
        "{rows:?}"
    );
    let import = of(LoadMethod::Import, &terms(5));
    assert_eq!(import.load_s, None);
    assert_eq!(import.table_write_units, 0.0);
    assert!(import.once_usd < 0.2, "{import:?}");
}

#[test]
fn free_units_go_where_they_are_needed() {
    let rows = of(LoadMethod::RowsFree, &terms(5));
    let split = rows.capacities.unwrap();
    assert_eq!(
        split.sum(),
        Units {
            write: 25,
            read: 25
        }
    );
    let writes = |at: Capacities| [at.trip_data, at.index].map(|units| units.unwrap().write);
    assert_eq!(writes(split), [10, 11]);
    assert_eq!((rows.once_usd, rows.idle_usd_month), (0.0, 0.0));
    let packed = of(LoadMethod::PackedFree, &terms(5)).capacities.unwrap();
    let [table, index] = writes(packed);
    assert!(table > index, "{packed:?}");
    // Without the free tier it is not possible, and 25 units are to be paid for.
    let paid = Terms {
        free_tier: false,
        ..terms(5)
    };
    assert!(
        forecasts(&workload(), &paid)
            .iter()
            .all(|forecast| forecast.method != LoadMethod::RowsFree)
    );
    assert!((of(LoadMethod::Rows, &paid).idle_usd_month - 25.0 * 0.000_78 * 730.0).abs() < 1e-9);
}

#[test]
fn tables_of_both_kinds_are_paid_for_each_by_its_own() {
    let all = |capacities: Option<Capacities>| Terms {
        capacities,
        free_tier: false,
        ..Terms::default()
    };
    let five = Some(Units { write: 5, read: 5 });
    let trips = Capacities {
        trip_data: five,
        index: five,
        ..Capacities::default()
    };
    let mixed = of(LoadMethod::Rows, &all(Some(trips)));
    let provisioned = of(LoadMethod::Rows, &all(Some(Capacities::each(five))));
    let on_demand = of(LoadMethod::RowsOnDemand, &all(None));
    // Ten units of each kind to be paid by the hour, and requests to the other tables.
    assert!((mixed.idle_usd_month - 10.0 * 0.000_78 * 730.0).abs() < 1e-9);
    assert_eq!(mixed.load_s, provisioned.load_s);
    let hours = (mixed.load_s.unwrap() + mixed.refresh_s) / 3600.0;
    let requests = mixed.once_usd - 10.0 * 0.000_78 * hours;
    let expected = (mixed.other_write_units * 0.625 + 580.0 * 0.125) / 1e6;
    assert!((requests - expected).abs() < 1e-9, "{requests} {expected}");
    // Polls use the tables that are paid by request.
    assert_eq!(mixed.live_usd_month, on_demand.live_usd_month);
    assert!(provisioned.live_usd_month < mixed.live_usd_month);
}

#[test]
fn a_boost_shortens_the_load_and_is_paid_by_the_hour() {
    let boosted = Terms {
        boost: Some(1000),
        free_tier: false,
        ..terms(5)
    };
    let forecast = of(LoadMethod::Rows, &boosted);
    assert_eq!(forecast.load_s, Some(2_100_000.0 / 1000.0 - 300.0));
    assert!((forecast.boost_usd_hour - 2.0 * 995.0 * 0.000_65).abs() < 1e-9);
    let plain = of(LoadMethod::Rows, &terms(5));
    assert_eq!(plain.boost_usd_hour, 0.0);
    // The idle month is that of the capacity to which the tables return.
    let unboosted = Terms {
        boost: None,
        ..boosted
    };
    assert_eq!(
        forecast.idle_usd_month,
        of(LoadMethod::Rows, &unboosted).idle_usd_month
    );
}

#[test]
fn a_plan_is_a_table() {
    let table = report(&workload(), &terms(5));
    assert_eq!(table.columns.len(), 10);
    let lines: Vec<String> = table.rows.iter().map(|row| format!("{row:?}")).collect();
    insta::assert_snapshot!(lines.join("\n"));
    let notes: Vec<_> = table.notes.iter().map(Note::text).collect();
    insta::assert_snapshot!(notes.join("\n"));
}

proptest! {
    #[test]
    fn all_is_assigned_and_no_other_assignment_is_quicker(
        units in 5..40_u32,
        wants in prop::array::uniform3(0..1000_u32),
    ) {
        let wants = wants.map(|units| (f64::from(units), 1));
        let dealt = super::forecast::assign_units(units, wants);
        prop_assert_eq!(dealt.iter().sum::<u32>(), units);
        let slowest = |dealt: [u32; 3]| {
            let seconds = wants.iter().zip(dealt).map(|((want, _), units)| want / f64::from(units));
            seconds.fold(0.0, f64::max)
        };
        for a in 1..units - 1 {
            for b in 1..units - a {
                prop_assert!(slowest(dealt) <= slowest([a, b, units - a - b]));
            }
        }
    }
}
