//! One request in, one answer out: capacity is looked at before the emulator sees a request, and
//! taken by what the emulator says that it used.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};

use dynoxide::actions::create_table::CreateTableRequest;
use dynoxide::actions::delete_item::DeleteItemRequest;
use dynoxide::actions::delete_table::DeleteTableRequest;
use dynoxide::actions::describe_table::DescribeTableRequest;
use dynoxide::actions::get_item::GetItemRequest;
use dynoxide::actions::get_records::{GetRecordsRequest, Record};
use dynoxide::actions::put_item::PutItemRequest;
use dynoxide::actions::query::QueryRequest;
use dynoxide::actions::scan::ScanRequest;
use dynoxide::actions::transact_get_items::TransactGetItemsRequest;
use dynoxide::actions::transact_write_items::{TransactWriteItem, TransactWriteItemsRequest};
use dynoxide::actions::update_item::UpdateItemRequest;
use dynoxide::actions::update_table::UpdateTableRequest;
use dynoxide::errors::CancellationReason;
use dynoxide::types::{ConsumedCapacity, item_size, write_capacity_units};
use dynoxide::{Database, DynoxideError, Item};
use serde_json::json;
use tokio::time::Instant;

use super::capacity::Direction;
use super::expression::{named, pinned};
use super::faults::{FaultCounts, Faults, Injector, Strike};
use super::meter::{Meter, TableUse};
use super::remedies::Remedies;
use super::table::{Change, Promised, Rules, Table, Want, partition_of};
use super::throttle::Reason;
use super::wire::{Answer, Refusal, Report, read, refuse, write};

/// What a request is answered with.
#[derive(Debug)]
pub(super) enum Reply {
    Answer(Answer),
    /// Nothing, for as long as the client waits.
    Silence,
    /// An end of the connection.
    Cut,
}

/// The emulator and what stands before it.
#[derive(Debug)]
pub(super) struct Front {
    database: Emulator,
    remedies: Remedies,
    rules: Rules,
    state: Mutex<State>,
}

/// The emulator, which has nothing to show.
struct Emulator(Database);

impl std::fmt::Debug for Emulator {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Emulator")
    }
}

/// What changes from one request to the next.
#[derive(Debug)]
pub(super) struct State {
    /// The tables that have been asked for.
    pub(super) tables: HashMap<String, Table>,
    injector: Injector,
    operations: BTreeMap<String, u64>,
    throttled_requests: u64,
    pub(super) unprocessed_items: u64,
    pub(super) faults: FaultCounts,
}

impl Front {
    pub(super) fn new(
        database: Database,
        remedies: Remedies,
        rules: Rules,
        faults: Faults,
    ) -> Self {
        Self {
            database: Emulator(database),
            remedies,
            rules,
            state: Mutex::new(State {
                tables: HashMap::new(),
                injector: Injector::new(faults),
                operations: BTreeMap::new(),
                throttled_requests: 0,
                unprocessed_items: 0,
                faults: FaultCounts::default(),
            }),
        }
    }

    pub(super) fn remedies(&self) -> &Remedies {
        &self.remedies
    }

    pub(super) fn set_faults(&self, faults: Faults) {
        self.state().injector = Injector::new(faults);
    }

    pub(super) fn meter(&self) -> Meter {
        let state = self.state();
        let tables = state.tables.iter().map(|(name, table)| {
            let indexes = table.indexes.iter();
            let used = TableUse {
                own: table.lanes.used(),
                indexes: indexes
                    .map(|index| (index.name.clone(), index.lanes.used()))
                    .collect(),
            };
            (name.clone(), used)
        });
        Meter {
            operations: state.operations.clone(),
            throttled_requests: state.throttled_requests,
            unprocessed_items: state.unprocessed_items,
            tables: tables.collect(),
            faults: state.faults,
        }
    }

    /// Answers one request. `target` is the header that names the operation.
    ///
    /// The emulator does one thing at a time anyway, so a request is looked at, done and taken
    /// from the buckets before the next one.
    pub(super) fn call(&self, target: Option<&str>, body: &[u8]) -> Reply {
        let mut state = self.state();
        let Some(operation) = target.and_then(operation) else {
            return Reply::Answer(refuse(&Refusal::UnknownOperation));
        };
        match state.operations.get_mut(operation) {
            Some(n) => *n += 1,
            None => {
                state.operations.insert(operation.to_owned(), 1);
            }
        }
        let strike = state.strike(operation);
        if strike.timeout {
            state.faults.timeouts += 1;
            return Reply::Silence;
        }
        if strike.internal_error {
            state.faults.internal_errors += 1;
            let error = DynoxideError::InternalServerError("injected: try again".to_owned());
            return Reply::Answer(refuse(&error.into()));
        }
        state.faults.throttles += u64::from(strike.throttle);
        let mut request = Request {
            database: &self.database.0,
            remedies: &self.remedies,
            rules: self.rules,
            state: &mut state,
            strike,
            now: Instant::now(),
        };
        let answer = match request.run(operation, body) {
            Ok(body) => Answer { status: 200, body },
            Err(refusal) => {
                if let Refusal::Throttled(_) = refusal {
                    state.throttled_requests += 1;
                }
                refuse(&refusal)
            }
        };
        if strike.dropped_reply {
            state.faults.dropped_replies += 1;
            return Reply::Cut;
        }
        Reply::Answer(answer)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // What a panic left behind is still a whole state: it is only ever added to.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Draws what strikes a request.
    fn strike(&mut self, operation: &str) -> Strike {
        match operation {
            "PutItem" | "GetItem" | "UpdateItem" | "DeleteItem" | "BatchWriteItem"
            | "BatchGetItem" | "Query" | "Scan" | "TransactWriteItems" | "TransactGetItems" => {
                self.injector.strike()
            }
            "GetRecords" => Strike {
                internal_error: self.injector.strike().internal_error,
                ..Strike::default()
            },
            _ => Strike::default(),
        }
    }
}

/// Returns the operation that a target names. `None`: of another service.
fn operation(target: &str) -> Option<&str> {
    let tables = target.strip_prefix("DynamoDB_20120810.");
    tables.or_else(|| target.strip_prefix("DynamoDBStreams_20120810."))
}

/// One request being answered.
pub(super) struct Request<'a> {
    pub(super) database: &'a Database,
    remedies: &'a Remedies,
    rules: Rules,
    pub(super) state: &'a mut State,
    pub(super) strike: Strike,
    pub(super) now: Instant,
}

impl Request<'_> {
    fn run(&mut self, operation: &str, body: &[u8]) -> Result<Vec<u8>, Refusal> {
        let database = self.database;
        match operation {
            "PutItem" => self.put_item(read(body)?),
            "UpdateItem" => self.update_item(read(body)?),
            "DeleteItem" => self.delete_item(read(body)?),
            "BatchWriteItem" => self.batch_write_item(read(body)?),
            "TransactWriteItems" => self.transact_write_items(read(body)?),
            "GetItem" => self.get_item(read(body)?),
            "BatchGetItem" => self.batch_get_item(read(body)?),
            "Query" => self.query(read(body)?),
            "Scan" => self.scan(read(body)?),
            "TransactGetItems" => self.transact_get_items(read(body)?),
            "CreateTable" => self.create_table(read(body)?),
            "UpdateTable" => self.update_table(read(body)?),
            "DeleteTable" => self.delete_table(read(body)?),
            "DescribeTable" => write(&database.describe_table(read(body)?)?),
            "ListTables" => write(&database.list_tables(read(body)?)?),
            "DescribeTimeToLive" => write(&database.describe_time_to_live(read(body)?)?),
            "UpdateTimeToLive" => write(&database.update_time_to_live(read(body)?)?),
            "TagResource" => write(&database.tag_resource(read(body)?)?),
            "UntagResource" => write(&database.untag_resource(read(body)?)?),
            "ListTagsOfResource" => write(&database.list_tags_of_resource(read(body)?)?),
            "ListStreams" => write(&database.list_streams(read(body)?)?),
            "DescribeStream" => write(&database.describe_stream(read(body)?)?),
            "GetShardIterator" => write(&database.get_shard_iterator(read(body)?)?),
            "GetRecords" => self.get_records(read(body)?),
            _ => Err(Refusal::UnknownOperation),
        }
    }

    fn create_table(&mut self, request: CreateTableRequest) -> Result<Vec<u8>, Refusal> {
        let name = request.table_name.clone();
        let response = self.database.create_table(request)?;
        self.state.tables.remove(&name);
        self.know(&name);
        write(&response)
    }

    fn update_table(&mut self, request: UpdateTableRequest) -> Result<Vec<u8>, Refusal> {
        let name = request.table_name.clone();
        self.know(&name);
        self.database.update_table(request)?;
        // The emulator answers with the table as it was, and is done at once.
        let mut description = self.describe(&name)?;
        if let Some(table) = self.state.tables.get_mut(&name) {
            table.settle(&description, self.rules, self.now);
        }
        description.table_status = "UPDATING".to_owned();
        write(&json!({ "TableDescription": description }))
    }

    fn delete_table(&mut self, request: DeleteTableRequest) -> Result<Vec<u8>, Refusal> {
        let name = request.table_name.clone();
        let response = self.database.delete_table(request)?;
        self.state.tables.remove(&name);
        self.remedies
            .forget(&name)
            .map_err(|error| DynoxideError::InternalServerError(error.to_string()))?;
        write(&response)
    }

    fn put_item(&mut self, mut request: PutItemRequest) -> Result<Vec<u8>, Refusal> {
        let report = Report::replace(&mut request.return_consumed_capacity);
        let name = request.table_name.clone();
        let want = self.admit(&name, Change::Put(&request.item))?;
        let conditional = request.condition_expression.is_some() || request.expected.is_some();
        let item = conditional.then(|| request.item.clone());
        let mut response = match self.database.put_item(request) {
            Ok(response) => response,
            Err(error) => return Err(self.failed(&name, item.as_ref(), error)),
        };
        self.charge_write(&name, want.as_ref(), response.consumed_capacity.as_ref());
        response.consumed_capacity = report.trim(response.consumed_capacity);
        write(&response)
    }

    fn update_item(&mut self, mut request: UpdateItemRequest) -> Result<Vec<u8>, Refusal> {
        let report = Report::replace(&mut request.return_consumed_capacity);
        let name = request.table_name.clone();
        let mut changed = named(
            request.update_expression.as_deref().unwrap_or_default(),
            request.expression_attribute_names.as_ref(),
        );
        changed.extend(
            request
                .attribute_updates
                .iter()
                .flatten()
                .map(|(name, _)| name.clone()),
        );
        let want = self.admit(&name, Change::Update(&request.key, &changed))?;
        let key = request.key.clone();
        let mut response = match self.database.update_item(request) {
            Ok(response) => response,
            Err(error) => return Err(self.failed(&name, Some(&key), error)),
        };
        self.charge_write(&name, want.as_ref(), response.consumed_capacity.as_ref());
        response.consumed_capacity = report.trim(response.consumed_capacity);
        write(&response)
    }

    fn delete_item(&mut self, mut request: DeleteItemRequest) -> Result<Vec<u8>, Refusal> {
        let report = Report::replace(&mut request.return_consumed_capacity);
        let name = request.table_name.clone();
        let want = self.admit(&name, Change::Delete(&request.key))?;
        let key = request.key.clone();
        let mut response = match self.database.delete_item(request) {
            Ok(response) => response,
            Err(error) => return Err(self.failed(&name, Some(&key), error)),
        };
        self.charge_write(&name, want.as_ref(), response.consumed_capacity.as_ref());
        response.consumed_capacity = report.trim(response.consumed_capacity);
        write(&response)
    }

    fn transact_write_items(
        &mut self,
        mut request: TransactWriteItemsRequest,
    ) -> Result<Vec<u8>, Refusal> {
        let report = Report::replace(&mut request.return_consumed_capacity);
        let mut cancelled = Vec::new();
        let mut wants = Vec::new();
        for action in &request.transact_items {
            let Some(action) = Action::of(action) else {
                continue;
            };
            let admitted = self.admit(action.table, action.change());
            cancelled.push(match admitted {
                Ok(want) => {
                    wants.extend(want.map(|want| (action.table.to_owned(), want)));
                    None
                }
                Err(Refusal::Throttled(reasons)) => reasons.into_iter().next(),
                Err(other) => return Err(other),
            });
        }
        if cancelled.iter().any(Option::is_some) {
            self.state.throttled_requests += 1;
            return Err(cancellation(&cancelled).into());
        }
        let mut response = match self.database.transact_write_items(request) {
            Ok(response) => response,
            Err(error) => {
                if let DynoxideError::TransactionCanceledException(..) = error {
                    // It was prepared all the same.
                    for (name, want) in &wants {
                        if let Some(table) = self.state.tables.get_mut(name) {
                            table.lanes.write.charge(2.0 * want.units, self.now);
                        }
                    }
                }
                return Err(error.into());
            }
        };
        for (name, want) in &wants {
            if let Some(table) = self.state.tables.get_mut(name) {
                table.charge_keys(want, self.now);
            }
        }
        let used = response.consumed_capacity.take().unwrap_or_default();
        for one in &used {
            // A repeated token reads what the first one wrote.
            let direction = match one.read_capacity_units {
                Some(_) => Direction::Read,
                None => Direction::Write,
            };
            self.charge_all(std::slice::from_ref(one), direction);
        }
        response.consumed_capacity = report.trim_all(used);
        write(&response)
    }

    fn get_item(&mut self, mut request: GetItemRequest) -> Result<Vec<u8>, Refusal> {
        let report = Report::replace(&mut request.return_consumed_capacity);
        let name = request.table_name.clone();
        let key = self.partition(&name, &request.key);
        self.admit_read(&name, None, key)?;
        let mut response = self.database.get_item(request)?;
        self.charge_read(&name, None, key, response.consumed_capacity.as_ref());
        response.consumed_capacity = report.trim(response.consumed_capacity);
        write(&response)
    }

    fn query(&mut self, mut request: QueryRequest) -> Result<Vec<u8>, Refusal> {
        let report = Report::replace(&mut request.return_consumed_capacity);
        let name = request.table_name.clone();
        let index = self.index(&name, request.index_name.as_deref());
        let key = self.queried(&name, index, &request);
        self.admit_read(&name, index, key)?;
        let mut response = self.database.query(request)?;
        self.charge_read(&name, index, key, response.consumed_capacity.as_ref());
        response.consumed_capacity = report.trim(response.consumed_capacity);
        write(&response)
    }

    fn scan(&mut self, mut request: ScanRequest) -> Result<Vec<u8>, Refusal> {
        let report = Report::replace(&mut request.return_consumed_capacity);
        let name = request.table_name.clone();
        let index = self.index(&name, request.index_name.as_deref());
        self.admit_read(&name, index, None)?;
        let mut response = self.database.scan(request)?;
        self.charge_read(&name, index, None, response.consumed_capacity.as_ref());
        response.consumed_capacity = report.trim(response.consumed_capacity);
        write(&response)
    }

    fn transact_get_items(
        &mut self,
        mut request: TransactGetItemsRequest,
    ) -> Result<Vec<u8>, Refusal> {
        let report = Report::replace(&mut request.return_consumed_capacity);
        let mut cancelled = Vec::new();
        for action in &request.transact_items {
            let key = self.partition(&action.get.table_name, &action.get.key);
            cancelled.push(match self.admit_read(&action.get.table_name, None, key) {
                Err(Refusal::Throttled(reasons)) => reasons.into_iter().next(),
                _ => None,
            });
        }
        if cancelled.iter().any(Option::is_some) {
            self.state.throttled_requests += 1;
            return Err(cancellation(&cancelled).into());
        }
        let mut response = self.database.transact_get_items(request)?;
        let used = response.consumed_capacity.take().unwrap_or_default();
        self.charge_all(&used, Direction::Read);
        response.consumed_capacity = report.trim_all(used);
        write(&response)
    }

    /// Reads a stream, without the records of writes that changed nothing: DynamoDB makes none.
    fn get_records(&mut self, request: GetRecordsRequest) -> Result<Vec<u8>, Refusal> {
        let mut response = self.database.get_records(request)?;
        let changed = |record: &Record| {
            let change = &record.dynamodb;
            record.event_name != "MODIFY"
                || change.new_image.is_none()
                || change.new_image != change.old_image
        };
        response.records.retain(changed);
        write(&response)
    }

    /// Learns of a table what the buckets need. Returns whether there is such a table.
    pub(super) fn know(&mut self, name: &str) -> bool {
        if self.state.tables.contains_key(name) {
            return true;
        }
        let Ok(description) = self.describe(name) else {
            return false;
        };
        let table = Table::new(&description, self.rules, self.now);
        self.state.tables.insert(name.to_owned(), table);
        true
    }

    fn describe(&self, name: &str) -> Result<dynoxide::actions::TableDescription, DynoxideError> {
        let request = DescribeTableRequest {
            table_name: name.to_owned(),
        };
        Ok(self.database.describe_table(request)?.table)
    }

    fn partition(&mut self, name: &str, key: &Item) -> Option<u64> {
        self.know(name)
            .then(|| self.state.tables[name].partition(key))?
    }

    /// Lets a write in. Returns what it is about to cost; `None` when there is no such table,
    /// which the emulator says best.
    fn admit(&mut self, name: &str, change: Change<'_>) -> Result<Option<Want>, Refusal> {
        if !self.know(name) {
            return Ok(None);
        }
        let want = self.state.tables[name].want(change);
        let nothing = Promised::nothing(&self.state.tables[name]);
        let reasons = self.obstacles(name, change, &want, &nothing);
        if reasons.is_empty() {
            Ok(Some(want))
        } else {
            Err(Refusal::Throttled(reasons))
        }
    }

    /// Returns what keeps a write to a known table out.
    pub(super) fn obstacles(
        &mut self,
        name: &str,
        change: Change<'_>,
        want: &Want,
        promised: &Promised,
    ) -> Vec<Reason> {
        let mut reasons = Vec::new();
        let Some(table) = self.state.tables.get_mut(name) else {
            return reasons;
        };
        let lane = &mut table.lanes.write;
        let closed = lane.closed(want.key, promised.table, self.now);
        let forced = self.strike.throttle.then(|| lane.limit());
        if let Some(limit) = closed.or(forced) {
            reasons.push(Reason::new(table, None, Direction::Write, limit));
        }
        for entry in &want.entries {
            let lane = &mut table.indexes[entry.index].lanes.write;
            let promised = promised.indexes[entry.index];
            let Some(limit) = lane.closed(entry.key, promised, self.now) else {
                continue;
            };
            // Only now is the old item worth a look: a full index does not mind what it need
            // not write.
            if !reasons.is_empty() || touches(self.database, name, table, change, entry.index) {
                reasons.push(Reason::new(
                    table,
                    Some(entry.index),
                    Direction::Write,
                    limit,
                ));
            }
        }
        reasons
    }

    /// Lets a read of a table, or of one of its indexes, in.
    fn admit_read(
        &mut self,
        name: &str,
        index: Option<usize>,
        key: Option<u64>,
    ) -> Result<(), Refusal> {
        self.know(name);
        let Some(table) = self.state.tables.get_mut(name) else {
            return Ok(());
        };
        let lane = &mut table.lanes_of(index).read;
        let forced = self.strike.throttle.then(|| lane.limit());
        match lane.closed(key, 0.0, self.now).or(forced) {
            Some(limit) => {
                let reason = Reason::new(table, index, Direction::Read, limit);
                Err(Refusal::Throttled(vec![reason]))
            }
            None => Ok(()),
        }
    }

    /// Returns the place of a global index. `None` for a local one, which reads from its table's
    /// capacity.
    fn index(&mut self, name: &str, index: Option<&str>) -> Option<usize> {
        self.know(name);
        let indexes = &self.state.tables.get(name)?.indexes;
        indexes
            .iter()
            .position(|one| Some(one.name.as_str()) == index)
    }

    /// Returns the partition that a query reads.
    fn queried(&self, name: &str, index: Option<usize>, request: &QueryRequest) -> Option<u64> {
        let attribute = self.state.tables.get(name)?.partition_key(index)?;
        let condition = request.key_condition_expression.as_deref()?;
        let names = request.expression_attribute_names.as_ref();
        let placeholder = pinned(condition, attribute, names)?;
        let values = request.expression_attribute_values.as_ref()?;
        partition_of(values.get(placeholder)?)
    }

    fn charge_write(&mut self, name: &str, want: Option<&Want>, used: Option<&ConsumedCapacity>) {
        let (Some(table), Some(used)) = (self.state.tables.get_mut(name), used) else {
            return;
        };
        table.charge(used, Direction::Write, self.now);
        if let Some(want) = want {
            table.charge_keys(want, self.now);
        }
    }

    fn charge_read(
        &mut self,
        name: &str,
        index: Option<usize>,
        key: Option<u64>,
        used: Option<&ConsumedCapacity>,
    ) {
        let (Some(table), Some(used)) = (self.state.tables.get_mut(name), used) else {
            return;
        };
        table.charge(used, Direction::Read, self.now);
        let lane = &mut table.lanes_of(index).read;
        lane.charge_key(key, used.capacity_units, self.now);
    }

    pub(super) fn charge_all(&mut self, used: &[ConsumedCapacity], direction: Direction) {
        for one in used {
            if let Some(table) = self.state.tables.get_mut(&one.table_name) {
                table.charge(one, direction, self.now);
            }
        }
    }

    /// Charges a write whose condition failed: it costs what the item that is there would.
    fn failed(&mut self, name: &str, item: Option<&Item>, error: DynoxideError) -> Refusal {
        if let (DynoxideError::ConditionalCheckFailedException(..), Some(item)) = (&error, item)
            && let Some(table) = self.state.tables.get_mut(name)
        {
            let old = stored(self.database, name, table.key_of(item));
            let units = write_capacity_units(old.as_ref().map_or(0, item_size));
            table.lanes.write.charge(units, self.now);
        }
        error.into()
    }
}

/// Tells whether a write changes the entry of one index.
fn touches(
    database: &Database,
    name: &str,
    table: &Table,
    change: Change<'_>,
    index: usize,
) -> bool {
    let new = match change {
        Change::Put(item) => Some(item),
        Change::Delete(_) => None,
        // What it makes of the item is not known: it is taken for a change.
        Change::Update(..) => return true,
        Change::Check(_) => return false,
    };
    let old = stored(database, name, table.key_of(change.item()));
    table.indexes[index].touched(old.as_ref(), new)
}

/// Looks an item up at no cost. `None` also when it cannot be read.
fn stored(database: &Database, name: &str, key: Item) -> Option<Item> {
    let request = GetItemRequest {
        table_name: name.to_owned(),
        key,
        ..GetItemRequest::default()
    };
    database.get_item(request).ok()?.item
}

/// One action of a transaction.
struct Action<'a> {
    table: &'a str,
    kind: Kind<'a>,
}

enum Kind<'a> {
    Put(&'a Item),
    Delete(&'a Item),
    Update(&'a Item, BTreeSet<String>),
    Check(&'a Item),
}

impl<'a> Action<'a> {
    fn of(item: &'a TransactWriteItem) -> Option<Self> {
        let (table, kind) = if let Some(put) = &item.put {
            (&put.table_name, Kind::Put(&put.item))
        } else if let Some(update) = &item.update {
            let names = update.expression_attribute_names.as_ref();
            let changed = named(&update.update_expression, names);
            (&update.table_name, Kind::Update(&update.key, changed))
        } else if let Some(delete) = &item.delete {
            (&delete.table_name, Kind::Delete(&delete.key))
        } else {
            let check = item.condition_check.as_ref()?;
            (&check.table_name, Kind::Check(&check.key))
        };
        Some(Self { table, kind })
    }

    fn change(&self) -> Change<'_> {
        match &self.kind {
            Kind::Put(item) => Change::Put(item),
            Kind::Delete(key) => Change::Delete(key),
            Kind::Update(key, changed) => Change::Update(key, changed),
            Kind::Check(key) => Change::Check(key),
        }
    }
}

/// Makes the error of a transaction of which some actions were throttled.
fn cancellation(actions: &[Option<Reason>]) -> DynoxideError {
    let reasons: Vec<CancellationReason> = actions
        .iter()
        .map(|reason| match reason {
            Some(reason) => {
                let (code, message) = reason.cancellation();
                CancellationReason {
                    code: code.to_owned(),
                    message: Some(message.to_owned()),
                    item: None,
                }
            }
            None => CancellationReason {
                code: "None".to_owned(),
                ..CancellationReason::default()
            },
        })
        .collect();
    let codes: Vec<&str> = reasons.iter().map(|reason| reason.code.as_str()).collect();
    let message = format!(
        "Transaction cancelled, please refer cancellation reasons for specific reasons [{}]",
        codes.join(", ")
    );
    DynoxideError::TransactionCanceledException(message, reasons)
}
