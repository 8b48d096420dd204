//! The emulator behind its front, through the real SDK.
#![cfg(feature = "local")]
#![expect(clippy::unwrap_used, reason = "a test may fail where it stands")]

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io::{BufRead, BufReader, Write as _};
use std::path::Path;
use std::time::Duration;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::retry::RetryConfig;
use aws_sdk_dynamodb::config::timeout::TimeoutConfig;
use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_dynamodb::operation::batch_write_item::BatchWriteItemError;
use aws_sdk_dynamodb::operation::put_item::PutItemError;
use aws_sdk_dynamodb::operation::query::QueryError;
use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError;
use aws_sdk_dynamodb::types::{
    AttributeDefinition, AttributeValue, BillingMode, GlobalSecondaryIndex, KeySchemaElement,
    KeyType, KeysAndAttributes, OnDemandThroughput, Projection, ProjectionType,
    ProvisionedThroughput, Put, PutRequest, ReturnConsumedCapacity, ScalarAttributeType, Select,
    StreamSpecification, StreamViewType, ThrottlingReason, TransactWriteItem, WriteRequest,
};
use aws_sdk_dynamodbstreams::types::ShardIteratorType;
use divvy_aws::local::{Burst, Faults, Local, Options, Units};
use tokio::time::Instant;

const TABLE: &str = "TripData";
const INDEX: &str = "from_station_id-index";

fn open(options: Options) -> Local {
    let local = Local::open(options).unwrap();
    assert_eq!(local.unmended(), None);
    local
}

/// Opens an emulator whose tables have been idle.
fn rested() -> Local {
    open(Options {
        burst: Burst::Full,
        ..Options::default()
    })
}

/// What the clients of these tests have in common: they try once.
fn config(local: &Local) -> aws_sdk_dynamodb::config::Builder {
    aws_sdk_dynamodb::config::Builder::from(&local.sdk_config())
        .retry_config(RetryConfig::disabled())
}

fn client(local: &Local) -> Client {
    Client::from_conf(config(local).build())
}

/// RCU and WCU a second.
fn throughput(read: i64, write: i64) -> ProvisionedThroughput {
    let throughput = ProvisionedThroughput::builder()
        .read_capacity_units(read)
        .write_capacity_units(write);
    throughput.build().unwrap()
}

fn key(name: &str) -> KeySchemaElement {
    let key = KeySchemaElement::builder()
        .attribute_name(name)
        .key_type(KeyType::Hash);
    key.build().unwrap()
}

fn text(name: &str) -> AttributeDefinition {
    let attribute = AttributeDefinition::builder()
        .attribute_name(name)
        .attribute_type(ScalarAttributeType::S);
    attribute.build().unwrap()
}

/// Makes the table of trips: RCU and WCU of the table, and of its index where it has one.
async fn make(client: &Client, table: (i64, i64), index: Option<(i64, i64)>) {
    let mut request = client
        .create_table()
        .table_name(TABLE)
        .key_schema(key("trip_id"))
        .attribute_definitions(text("trip_id"))
        .billing_mode(BillingMode::Provisioned)
        .provisioned_throughput(throughput(table.0, table.1));
    if let Some((read, write)) = index {
        let keys_only = Projection::builder().projection_type(ProjectionType::KeysOnly);
        let index = GlobalSecondaryIndex::builder()
            .index_name(INDEX)
            .key_schema(key("from_station_id"))
            .projection(keys_only.build())
            .provisioned_throughput(throughput(read, write));
        request = request
            .attribute_definitions(text("from_station_id"))
            .global_secondary_indexes(index.build().unwrap());
    }
    request.send().await.unwrap();
}

type Item = HashMap<String, AttributeValue>;

fn s(text: impl Into<String>) -> AttributeValue {
    AttributeValue::S(text.into())
}

fn trip(id: u64) -> Item {
    Item::from([
        ("trip_id".to_owned(), s(id.to_string())),
        ("from_station_id".to_owned(), s((id % 7).to_string())),
        ("gender".to_owned(), s("Female")),
    ])
}

fn with_block(mut trip: Item, size: usize) -> Item {
    trip.insert("block".to_owned(), s("x".repeat(size)));
    trip
}

fn puts(items: impl IntoIterator<Item = Item>) -> Vec<WriteRequest> {
    let put = |item| {
        let put = PutRequest::builder().set_item(Some(item)).build().unwrap();
        WriteRequest::builder().put_request(put).build()
    };
    items.into_iter().map(put).collect()
}

/// Sends a batch. Returns what came back unprocessed.
async fn send(
    client: &Client,
    batch: Vec<WriteRequest>,
) -> Result<Vec<WriteRequest>, SdkError<BatchWriteItemError>> {
    let request = client.batch_write_item().request_items(TABLE, batch);
    let mut unprocessed = request.send().await?.unprocessed_items.unwrap_or_default();
    Ok(unprocessed.remove(TABLE).unwrap_or_default())
}

fn id(item: &Item) -> u64 {
    item["trip_id"].as_s().unwrap().parse().unwrap()
}

fn ids(requests: &[WriteRequest]) -> BTreeSet<u64> {
    let id = |request: &WriteRequest| id(request.put_request().unwrap().item());
    requests.iter().map(id).collect()
}

async fn stored(client: &Client) -> BTreeSet<u64> {
    let mut ids = BTreeSet::new();
    let mut start = None;
    loop {
        let scan = client.scan().table_name(TABLE);
        let page = scan.set_exclusive_start_key(start).send().await.unwrap();
        ids.extend(page.items().iter().map(id));
        start = page.last_evaluated_key;
        if start.is_none() {
            return ids;
        }
    }
}

/// Each reason, and the last part of the name of its table or index.
fn words(reasons: &[ThrottlingReason]) -> Vec<(&str, &str)> {
    reasons.iter().map(word).collect()
}

fn word(reason: &ThrottlingReason) -> (&str, &str) {
    let resource = reason.resource().unwrap();
    let (_, last) = resource.rsplit_once('/').unwrap();
    (reason.reason().unwrap(), last)
}

fn throttled(error: SdkError<BatchWriteItemError>) -> Vec<ThrottlingReason> {
    match error.into_service_error() {
        BatchWriteItemError::ProvisionedThroughputExceededException(error) => {
            error.throttling_reasons.unwrap()
        }
        other => panic!("{other:?}"),
    }
}

/// The code of each action of a transaction that was cancelled.
fn cancelled(error: SdkError<TransactWriteItemsError>) -> Vec<String> {
    let error = match error.into_service_error() {
        TransactWriteItemsError::TransactionCanceledException(error) => error,
        other => panic!("{other:?}"),
    };
    let reasons = error.cancellation_reasons().iter();
    reasons
        .map(|reason| reason.code().unwrap().to_owned())
        .collect()
}

/// Loads as plainly as can be: what comes back is sent again a second later. Returns how many
/// trips went in until the time was over.
async fn load(client: &Client, time: Duration) -> u64 {
    let end = Instant::now() + time;
    let mut next = 0;
    let mut pending = Vec::new();
    while Instant::now() < end {
        let first = next;
        next += 25 - pending.len() as u64;
        pending.extend(puts((first..next).map(trip)));
        pending = match send(client, pending.clone()).await {
            Ok(unprocessed) => unprocessed,
            Err(error) => {
                throttled(error);
                pending
            }
        };
        if !pending.is_empty() {
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    }
    next - pending.len() as u64
}

#[tokio::test(start_paused = true)]
async fn a_table_takes_its_burst_and_then_its_rate() {
    let local = open(Options::default());
    let client = client(&local);
    make(&client, (5, 5), Some((5, 5))).await;
    tokio::time::sleep(Duration::from_secs(3600)).await;
    let loaded = load(&client, Duration::from_secs(3600)).await;
    let expected = 1_500.0 + 5.0 * 3_600.0;
    let share = loaded as f64 / expected;
    assert!((0.99..1.01).contains(&share), "{loaded} of {expected}");
    let meter = local.meter();
    assert_eq!(meter.tables[TABLE].own.write, loaded as f64);
    assert_eq!(meter.tables[TABLE].indexes[INDEX].write, loaded as f64);
}

#[tokio::test(start_paused = true)]
async fn what_does_not_fit_comes_back() {
    let local = open(Options::default());
    let client = client(&local);
    make(&client, (5, 10), None).await;
    let batch = puts((0..25).map(trip));
    let unprocessed = ids(&send(&client, batch.clone()).await.unwrap());
    assert_eq!(unprocessed.len(), 15);
    let kept: BTreeSet<u64> = (0..25).filter(|id| !unprocessed.contains(id)).collect();
    assert_eq!(stored(&client).await, kept);
    assert_eq!(local.meter().unprocessed_items, 15);
    let reasons = throttled(send(&client, batch).await.unwrap_err());
    assert_eq!(
        words(&reasons),
        [("TableWriteProvisionedThroughputExceeded", TABLE)]
    );
    assert_eq!(local.meter().throttled_requests, 1);
}

#[tokio::test(start_paused = true)]
async fn a_large_item_goes_into_debt() {
    let local = open(Options::default());
    let client = client(&local);
    make(&client, (5, 5), None).await;
    let block = puts([with_block(trip(1), 29_000)]);
    assert!(send(&client, block).await.unwrap().is_empty());
    tokio::time::sleep(Duration::from_secs(4)).await;
    throttled(send(&client, puts([trip(2)])).await.unwrap_err());
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    assert!(send(&client, puts([trip(2)])).await.unwrap().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_short_index_throttles_its_table() {
    let local = open(Options::default());
    let client = client(&local);
    make(&client, (100, 1_000), Some((5, 5))).await;
    let unprocessed = send(&client, puts((0..25).map(trip))).await.unwrap();
    assert_eq!(unprocessed.len(), 20);
    let reasons = throttled(send(&client, unprocessed).await.unwrap_err());
    assert_eq!(
        words(&reasons),
        [("IndexWriteProvisionedThroughputExceeded", INDEX)]
    );
    // Entries that stay as they are ask nothing of the index, and items without its key neither.
    let known = *stored(&client).await.first().unwrap();
    let mut changed = trip(known);
    changed.insert("gender".to_owned(), s("Male"));
    let mut nowhere = trip(100);
    nowhere.remove("from_station_id");
    let batch = puts([changed, nowhere]);
    assert!(send(&client, batch).await.unwrap().is_empty());
    let put = client.put_item().table_name(TABLE);
    let error = put.set_item(Some(trip(101))).send().await.unwrap_err();
    let error = error.into_service_error();
    assert!(
        error.is_provisioned_throughput_exceeded_exception(),
        "{error:?}"
    );
    let update = |name: &str| {
        client
            .update_item()
            .table_name(TABLE)
            .key("trip_id", s(known.to_string()))
            .update_expression("SET #a = :v")
            .expression_attribute_names("#a", name)
            .expression_attribute_values(":v", s("3"))
            .send()
    };
    update("gender").await.unwrap();
    let error = update("from_station_id").await.unwrap_err();
    let error = error.into_service_error();
    assert!(
        error.is_provisioned_throughput_exceeded_exception(),
        "{error:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn reads_of_an_index_are_its_own() {
    let local = rested();
    let client = client(&local);
    make(&client, (5, 5), Some((1, 5))).await;
    let batch = puts((0..25).map(trip));
    assert!(send(&client, batch).await.unwrap().is_empty());
    let query = || {
        client
            .query()
            .table_name(TABLE)
            .index_name(INDEX)
            .key_condition_expression("from_station_id = :s")
            .expression_attribute_values(":s", s("1"))
            .select(Select::Count)
            .return_consumed_capacity(ReturnConsumedCapacity::Indexes)
            .send()
    };
    let answer = query().await.unwrap();
    assert_eq!(answer.count(), 4);
    let used = answer.consumed_capacity.unwrap();
    let used = used.global_secondary_indexes.unwrap();
    assert_eq!(used[INDEX].capacity_units(), Some(0.5));
    let mut queries = 1;
    let error = loop {
        match query().await {
            Ok(_) => queries += 1,
            Err(error) => break error.into_service_error(),
        }
    };
    assert_eq!(queries, 600);
    assert!(
        error.is_provisioned_throughput_exceeded_exception(),
        "{error:?}"
    );
    let used = local.meter().tables[TABLE].clone();
    let (read, write) = (300.0, 25.0);
    assert_eq!(used.indexes[INDEX], Units { read, write });
    assert_eq!(used.own, Units { read: 0.0, write });
    // Neither the table's reads nor any writes are the worse for it.
    let get = client.get_item().table_name(TABLE).key("trip_id", s("1"));
    let answer = get.consistent_read(true).send().await.unwrap();
    assert!(answer.item.is_some());
    assert!(send(&client, puts([trip(99)])).await.unwrap().is_empty());
    assert_eq!(local.meter().tables[TABLE].own.read, 1.0);
}

#[tokio::test(start_paused = true)]
async fn keys_that_do_not_fit_come_back() {
    let local = open(Options::default());
    let client = client(&local);
    make(&client, (5, 100), None).await;
    send(&client, puts((0..25).map(trip))).await.unwrap();
    let keys = (0..25).map(|id: u64| Item::from([("trip_id".to_owned(), s(id.to_string()))]));
    let keys = KeysAndAttributes::builder()
        .set_keys(Some(keys.collect()))
        .projection_expression("trip_id")
        .build()
        .unwrap();
    let get = |keys| client.batch_get_item().request_items(TABLE, keys).send();
    let answer = get(keys).await.unwrap();
    let items = &answer.responses().unwrap()[TABLE];
    let found: BTreeSet<u64> = items.iter().map(id).collect();
    let rest = &answer.unprocessed_keys().unwrap()[TABLE];
    assert_eq!(rest.projection_expression(), Some("trip_id"));
    let unprocessed: BTreeSet<u64> = rest.keys().iter().map(id).collect();
    assert_eq!((found.len(), unprocessed.len()), (10, 15));
    assert!(found.is_disjoint(&unprocessed));
    let error = get(rest.clone()).await.unwrap_err().into_service_error();
    assert!(
        error.is_provisioned_throughput_exceeded_exception(),
        "{error:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn more_capacity_is_there_at_once() {
    let local = open(Options::default());
    let client = client(&local);
    make(&client, (5, 5), None).await;
    send(&client, puts((0..25).map(trip))).await.unwrap();
    let update = client.update_table().table_name(TABLE);
    let update = update.provisioned_throughput(throughput(5, 1_000));
    let table = update.send().await.unwrap().table_description.unwrap();
    let given = table.provisioned_throughput.unwrap();
    assert_eq!(given.write_capacity_units, Some(1_000));
    tokio::time::sleep(Duration::from_millis(100)).await;
    let batch = puts((0..25).map(trip));
    assert!(send(&client, batch).await.unwrap().is_empty());
}

#[tokio::test(start_paused = true)]
async fn an_on_demand_table_has_its_own_ceilings() {
    let local = open(Options::default());
    let client = client(&local);
    let create = |name: &str| {
        client
            .create_table()
            .table_name(name)
            .key_schema(key("trip_id"))
            .attribute_definitions(text("trip_id"))
            .billing_mode(BillingMode::PayPerRequest)
    };
    create(TABLE).send().await.unwrap();
    let most = OnDemandThroughput::builder().max_write_request_units(10);
    let capped = create("Capped").on_demand_throughput(most.build());
    capped.send().await.unwrap();
    let put = |table: &str, id, size| {
        let item = with_block(trip(id), size);
        client
            .put_item()
            .table_name(table)
            .set_item(Some(item))
            .send()
    };
    let reasons = |error: SdkError<PutItemError>| match error.into_service_error() {
        PutItemError::ThrottlingException(error) => error.throttling_reasons.unwrap(),
        other => panic!("{other:?}"),
    };
    // One key takes a thousand units, the table takes four thousand.
    for _ in 0..4 {
        put(TABLE, 1, 255_900).await.unwrap();
    }
    let hot = reasons(put(TABLE, 1, 10).await.unwrap_err());
    let key_range = ("TableWriteKeyRangeThroughputExceeded", TABLE);
    assert_eq!(words(&hot), [key_range]);
    for id in 2..14 {
        put(TABLE, id, 255_900).await.unwrap();
    }
    let full = reasons(put(TABLE, 99, 10).await.unwrap_err());
    assert_eq!(words(&full), [key_range]);
    put("Capped", 1, 10_000).await.unwrap();
    let capped = reasons(put("Capped", 2, 10).await.unwrap_err());
    let maximum = ("TableWriteMaxOnDemandThroughputExceeded", "Capped");
    assert_eq!(words(&capped), [maximum]);
}

#[tokio::test(start_paused = true)]
async fn a_hot_key_waits_alone() {
    let local = rested();
    let client = client(&local);
    make(&client, (40_000, 40_000), Some((5, 40_000))).await;
    let at = |id: u64, station: &str| {
        let mut trip = trip(id);
        trip.insert("from_station_id".to_owned(), s(station));
        trip
    };
    for first in (0..1_000).step_by(25) {
        let batch = puts((first..first + 25).map(|id| at(id, "35")));
        assert!(send(&client, batch).await.unwrap().is_empty());
    }
    let batch = puts([at(2_000, "35"), at(2_001, "36")]);
    let unprocessed = send(&client, batch).await.unwrap();
    assert_eq!(ids(&unprocessed), BTreeSet::from([2_000]));
    let reasons = throttled(send(&client, unprocessed).await.unwrap_err());
    let hot = ("IndexWriteKeyRangeThroughputExceeded", INDEX);
    assert_eq!(words(&reasons), [hot]);
    // Reads are held to three thousand units a key: of this item, thirty-one times 98.
    let block = client.put_item().table_name(TABLE);
    let block = block.set_item(Some(with_block(trip(3_000), 390_000)));
    block.send().await.unwrap();
    let query = |id: u64| {
        client
            .query()
            .table_name(TABLE)
            .key_condition_expression("trip_id = :id")
            .expression_attribute_values(":id", s(id.to_string()))
            .select(Select::Count)
            .consistent_read(true)
            .send()
    };
    for _ in 0..32 {
        query(3_000).await.unwrap();
    }
    let error = match query(3_000).await.unwrap_err().into_service_error() {
        QueryError::ProvisionedThroughputExceededException(error) => error,
        other => panic!("{other:?}"),
    };
    let hot = ("TableReadKeyRangeThroughputExceeded", TABLE);
    assert_eq!(words(error.throttling_reasons()), [hot]);
    query(2_001).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn errors_are_of_their_types() {
    let local = rested();
    let client = client(&local);
    let put = || client.put_item().table_name(TABLE).set_item(Some(trip(1)));
    let error = put().send().await.unwrap_err().into_service_error();
    assert!(error.is_resource_not_found_exception(), "{error:?}");
    make(&client, (5, 5), None).await;
    let again = client
        .create_table()
        .table_name(TABLE)
        .key_schema(key("trip_id"))
        .attribute_definitions(text("trip_id"))
        .billing_mode(BillingMode::PayPerRequest);
    let error = again.send().await.unwrap_err().into_service_error();
    assert!(error.is_resource_in_use_exception(), "{error:?}");
    put().send().await.unwrap();
    let absent = "attribute_not_exists(trip_id)";
    let error = put().condition_expression(absent).send().await.unwrap_err();
    let error = error.into_service_error();
    assert!(error.is_conditional_check_failed_exception(), "{error:?}");
    // The failure costs what the item that is there does.
    assert_eq!(local.meter().tables[TABLE].own.write, 2.0);
    let action = |id, condition: Option<&str>| {
        let put = Put::builder()
            .table_name(TABLE)
            .set_item(Some(trip(id)))
            .set_condition_expression(condition.map(str::to_owned));
        TransactWriteItem::builder()
            .put(put.build().unwrap())
            .build()
    };
    let transaction = client
        .transact_write_items()
        .transact_items(action(2, None))
        .transact_items(action(1, Some(absent)));
    let codes = cancelled(transaction.send().await.unwrap_err());
    assert_eq!(codes, ["None", "ConditionalCheckFailed"]);
    let twice = puts([trip(3), trip(3)]);
    let error = send(&client, twice).await.unwrap_err();
    assert_eq!(error.code(), Some("ValidationException"));
    let error = client.describe_limits().send().await.unwrap_err();
    assert_eq!(error.code(), Some("UnknownOperationException"));
}

#[tokio::test(start_paused = true)]
async fn a_transaction_waits_for_all_its_capacity() {
    let local = open(Options::default());
    let client = client(&local);
    make(&client, (5, 4), None).await;
    let action = |id| {
        let put = Put::builder().table_name(TABLE).set_item(Some(trip(id)));
        TransactWriteItem::builder()
            .put(put.build().unwrap())
            .build()
    };
    let send = |first: u64| {
        client
            .transact_write_items()
            .set_transact_items(Some((first..first + 3).map(action).collect()))
            .return_consumed_capacity(ReturnConsumedCapacity::Total)
            .send()
    };
    let answer = send(0).await.unwrap();
    assert_eq!(answer.consumed_capacity()[0].capacity_units(), Some(6.0));
    let codes = cancelled(send(3).await.unwrap_err());
    assert_eq!(codes, ["ProvisionedThroughputExceeded"; 3]);
    assert_eq!(stored(&client).await, BTreeSet::from([0, 1, 2]));
}

#[tokio::test(start_paused = true)]
async fn a_client_sees_the_capacity_it_asks_for() {
    let local = rested();
    let client = client(&local);
    make(&client, (5, 5), Some((5, 5))).await;
    let put = || client.put_item().table_name(TABLE).set_item(Some(trip(1)));
    assert_eq!(put().send().await.unwrap().consumed_capacity, None);
    let total = put().return_consumed_capacity(ReturnConsumedCapacity::Total);
    let used = total.send().await.unwrap().consumed_capacity.unwrap();
    assert_eq!((used.capacity_units, used.table), (Some(1.0), None));
    let batch = client
        .batch_write_item()
        .request_items(TABLE, puts((10..20).map(trip)))
        .return_consumed_capacity(ReturnConsumedCapacity::Indexes);
    let used = batch.send().await.unwrap().consumed_capacity.unwrap();
    assert_eq!(used[0].capacity_units, Some(20.0));
    let indexes = used[0].global_secondary_indexes().unwrap();
    assert_eq!(indexes[INDEX].capacity_units(), Some(10.0));
}

/// Puts eighty trips under faults. Returns what the client saw of each, and which are stored.
async fn fates(faults: Faults) -> (Vec<String>, BTreeSet<u64>, Local) {
    let local = rested();
    let timeout = TimeoutConfig::builder().operation_attempt_timeout(Duration::from_secs(5));
    let config = config(&local).timeout_config(timeout.build());
    let client = Client::from_conf(config.build());
    make(&client, (100, 5), None).await;
    local.set_faults(faults);
    let mut fates = Vec::new();
    for id in 0..80 {
        let put = client.put_item().table_name(TABLE).set_item(Some(trip(id)));
        fates.push(match put.send().await {
            Ok(_) => "done".to_owned(),
            Err(SdkError::TimeoutError(_)) => "timeout".to_owned(),
            Err(SdkError::DispatchFailure(failure)) if failure.is_io() => "lost".to_owned(),
            Err(SdkError::ServiceError(error)) => error.err().code().unwrap().to_owned(),
            Err(other) => panic!("{other:?}"),
        });
    }
    local.set_faults(Faults::default());
    (fates, stored(&client).await, local)
}

#[tokio::test(start_paused = true)]
async fn faults_strike_the_same_requests_again() {
    let faults = Faults {
        seed: 3,
        internal_error: 0.15,
        throttle: 0.15,
        timeout: 0.15,
        dropped_reply: 0.15,
        partial_batch: 0.0,
    };
    let (first, kept, local) = fates(faults).await;
    let (again, kept_again, _) = fates(faults).await;
    assert_eq!((&first, &kept), (&again, &kept_again));
    let mut counts = BTreeMap::new();
    for fate in &first {
        *counts.entry(fate.as_str()).or_insert(0_u64) += 1;
    }
    let struck = local.meter().faults;
    assert_eq!(counts["lost"], struck.dropped_replies);
    assert_eq!(counts["timeout"], struck.timeouts);
    assert_eq!(counts["InternalServerError"], struck.internal_errors);
    assert!(counts["ProvisionedThroughputExceededException"] > 0);
    // What was lost on the way back was done; what had no answer was not.
    for (id, fate) in (0..).zip(&first) {
        match fate.as_str() {
            "done" => assert!(kept.contains(&id), "{id}"),
            "lost" => {}
            other => assert!(!kept.contains(&id), "{id} {other}"),
        }
    }
    let done = counts["done"];
    assert!(kept.len() as u64 > done, "{kept:?}");
}

#[tokio::test(start_paused = true)]
async fn a_partial_batch_is_whole_with_what_comes_back() {
    let local = rested();
    let client = client(&local);
    make(&client, (100, 100), None).await;
    local.set_faults(Faults {
        seed: 1,
        partial_batch: 1.0,
        ..Faults::default()
    });
    let batch = puts((0..25).map(trip));
    let unprocessed = ids(&send(&client, batch).await.unwrap());
    local.set_faults(Faults::default());
    let kept = stored(&client).await;
    assert!(!unprocessed.is_empty() && !kept.is_empty());
    assert!(kept.is_disjoint(&unprocessed));
    assert_eq!(kept.len() + unprocessed.len(), 25);
}

/// Reads the stream of the table from its beginning.
async fn events(local: &Local) -> Vec<String> {
    let streams = aws_sdk_dynamodbstreams::Client::new(&local.sdk_config());
    let list = streams.list_streams().table_name(TABLE);
    let list = list.send().await.unwrap();
    let arn = list.streams()[0].stream_arn().unwrap();
    let stream = streams.describe_stream().stream_arn(arn);
    let stream = stream.send().await.unwrap().stream_description.unwrap();
    let iterator = streams
        .get_shard_iterator()
        .stream_arn(arn)
        .shard_id(stream.shards()[0].shard_id().unwrap())
        .shard_iterator_type(ShardIteratorType::TrimHorizon);
    let iterator = iterator.send().await.unwrap().shard_iterator;
    let records = streams.get_records().set_shard_iterator(iterator);
    let records = records.send().await.unwrap().records.unwrap_or_default();
    let names = records.iter().map(|record| record.event_name().unwrap());
    names.map(|name| name.as_str().to_owned()).collect()
}

#[tokio::test(start_paused = true)]
async fn a_stream_has_only_changes_and_only_its_own_table() {
    let local = open(Options::default());
    let client = client(&local);
    let create = || {
        let stream = StreamSpecification::builder()
            .stream_enabled(true)
            .stream_view_type(StreamViewType::NewAndOldImages);
        client
            .create_table()
            .table_name(TABLE)
            .key_schema(key("trip_id"))
            .attribute_definitions(text("trip_id"))
            .billing_mode(BillingMode::PayPerRequest)
            .stream_specification(stream.build().unwrap())
            .send()
    };
    create().await.unwrap();
    let put = |item| {
        client
            .put_item()
            .table_name(TABLE)
            .set_item(Some(item))
            .send()
    };
    put(trip(1)).await.unwrap();
    put(trip(1)).await.unwrap();
    put(with_block(trip(1), 1)).await.unwrap();
    let gone = client
        .delete_item()
        .table_name(TABLE)
        .key("trip_id", s("1"));
    gone.send().await.unwrap();
    assert_eq!(events(&local).await, ["INSERT", "MODIFY", "REMOVE"]);
    let gone = client.delete_table().table_name(TABLE);
    gone.send().await.unwrap();
    create().await.unwrap();
    put(trip(2)).await.unwrap();
    assert_eq!(events(&local).await, ["INSERT"]);
}

#[tokio::test]
async fn another_process_can_reach_it() {
    let local = rested();
    let serving = local.serve().await.unwrap();
    let http = aws_smithy_http_client::Builder::new().build_http();
    let endpoint = format!("http://{}", serving.addr);
    let client = Client::from_conf(
        config(&local)
            .http_client(http)
            .endpoint_url(endpoint)
            .build(),
    );
    // Too little to come back while the test runs.
    make(&client, (5, 1), None).await;
    for first in [0, 25, 50] {
        let batch = puts((first..first + 25).map(trip));
        assert!(send(&client, batch).await.unwrap().is_empty());
    }
    assert_eq!(stored(&client).await.len(), 75);
    let put = |size| {
        let block = with_block(trip(99), size);
        client
            .put_item()
            .table_name(TABLE)
            .set_item(Some(block))
            .send()
    };
    put(390_000).await.unwrap();
    let error = put(1).await.unwrap_err().into_service_error();
    assert!(
        error.is_provisioned_throughput_exceeded_exception(),
        "{error:?}"
    );
    local.set_faults(Faults {
        dropped_reply: 1.0,
        ..Faults::default()
    });
    let get = || {
        client
            .get_item()
            .table_name(TABLE)
            .key("trip_id", s("1"))
            .send()
    };
    let error = get().await.unwrap_err();
    assert!(matches!(error, SdkError::DispatchFailure(_)), "{error:?}");
    drop(serving);
    let error = get().await.unwrap_err();
    assert!(matches!(error, SdkError::DispatchFailure(_)), "{error:?}");
}

fn open_file(path: &Path) -> Local {
    open(Options {
        path: Some(path.to_owned()),
        burst: Burst::Full,
        ..Options::default()
    })
}

/// The other half of the next test, which starts it as a process of its own and kills it: a writer
/// that says what it was told is stored. Started with the others it has nothing to write to.
#[tokio::test]
async fn writer_to_be_killed() {
    let Some(path) = std::env::var_os("DIVVY_TEST_DATABASE") else {
        return;
    };
    let local = open_file(Path::new(&path));
    let client = client(&local);
    make(&client, (1_000, 1_000), Some((5, 1_000))).await;
    for first in (0..).step_by(25) {
        let batch = puts((first..first + 25).map(trip));
        assert!(send(&client, batch).await.unwrap().is_empty());
        let mut out = std::io::stdout().lock();
        writeln!(out, "\nstored {}", first + 25).unwrap();
        out.flush().unwrap();
    }
}

#[tokio::test]
async fn a_killed_writer_loses_nothing_that_was_acknowledged() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("killed.db");
    let mut writer = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "--nocapture", "writer_to_be_killed"])
        .env("DIVVY_TEST_DATABASE", &path)
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut acknowledged = 0;
    for line in BufReader::new(writer.stdout.take().unwrap()).lines() {
        if let Some(n) = line.unwrap().strip_prefix("stored ") {
            acknowledged = n.parse().unwrap();
        }
        if acknowledged >= 500 {
            break;
        }
    }
    writer.kill().unwrap();
    writer.wait().unwrap();
    let local = open_file(&path);
    let client = client(&local);
    let kept = stored(&client).await;
    let expected: BTreeSet<u64> = (0..acknowledged).collect();
    assert!(acknowledged >= 500 && expected.is_subset(&kept));
    // Its capacity is known from the file.
    for id in 0..5 {
        let batch = puts([with_block(trip(id), 380_000)]);
        assert!(send(&client, batch).await.unwrap().is_empty());
    }
    assert_eq!(local.meter().tables[TABLE].own.write, 5.0 * 372.0);
}
