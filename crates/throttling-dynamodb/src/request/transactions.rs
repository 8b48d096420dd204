//! Transactions: executed as a whole, or cancelled.

use dynoxide::DynoxideError;
use dynoxide::actions::transact_get_items::TransactGetItemsRequest;
use dynoxide::actions::transact_write_items::TransactWriteItemsRequest;
use dynoxide::errors::CancellationReason;

use super::Request;
use crate::capacity::Direction;
use crate::expression::attribute_names;
use crate::throttle::ThrottlingReason;
use crate::wire::{CapacityReport, RequestError, write};
use crate::write_cost::ItemWrite;

impl Request<'_> {
    pub(super) fn transact_write_items(
        &mut self,
        mut request: TransactWriteItemsRequest,
    ) -> Result<Vec<u8>, RequestError> {
        let report = CapacityReport::replace(&mut request.return_consumed_capacity);
        let mut throttled = Vec::new();
        let mut costs = Vec::new();
        for action in &request.transact_items {
            let changed;
            let (table, write) = if let Some(put) = &action.put {
                (&put.table_name, ItemWrite::Put(&put.item))
            } else if let Some(update) = &action.update {
                let names = update.expression_attribute_names.as_ref();
                changed = attribute_names(&update.update_expression, names);
                (&update.table_name, ItemWrite::Update(&update.key, &changed))
            } else if let Some(delete) = &action.delete {
                (&delete.table_name, ItemWrite::Delete(&delete.key))
            } else if let Some(check) = &action.condition_check {
                (&check.table_name, ItemWrite::Check(&check.key))
            } else {
                // The emulator refuses an empty action.
                continue;
            };
            throttled.push(match self.admit(table, write) {
                Ok(cost) => {
                    costs.extend(cost.map(|cost| (table.clone(), cost)));
                    None
                }
                Err(RequestError::Throttled(reasons)) => reasons.into_iter().next(),
                Err(other) => return Err(other),
            });
        }
        self.cancel_if_throttled(&throttled)?;
        let mut response = match self.database.transact_write_items(request) {
            Ok(response) => response,
            Err(error) => {
                if let DynoxideError::TransactionCanceledException(..) = error {
                    // A transaction that is cancelled by a condition is charged all the same.
                    for (name, cost) in &costs {
                        if let Some(table) = self.state.tables.get_mut(name) {
                            table.limiters.write.charge(2.0 * cost.units, self.now);
                        }
                    }
                }
                return Err(error.into());
            }
        };
        for (name, cost) in &costs {
            if let Some(table) = self.state.tables.get_mut(name) {
                cost.charge_keys(table, self.now);
            }
        }
        let used = response.consumed_capacity.take().unwrap_or_default();
        for one in &used {
            // A repeated request with the same token only reads what the first one has written.
            let direction = match one.read_capacity_units {
                Some(_) => Direction::Read,
                None => Direction::Write,
            };
            self.charge_all(std::slice::from_ref(one), direction);
        }
        response.consumed_capacity = report.trim_all(used);
        write(&response)
    }

    pub(super) fn transact_get_items(
        &mut self,
        mut request: TransactGetItemsRequest,
    ) -> Result<Vec<u8>, RequestError> {
        let report = CapacityReport::replace(&mut request.return_consumed_capacity);
        let mut throttled = Vec::new();
        for action in &request.transact_items {
            let key = self.partition(&action.get.table_name, &action.get.key);
            throttled.push(match self.admit_read(&action.get.table_name, None, key) {
                Err(RequestError::Throttled(reasons)) => reasons.into_iter().next(),
                _ => None,
            });
        }
        self.cancel_if_throttled(&throttled)?;
        let mut response = self.database.transact_get_items(request)?;
        let used = response.consumed_capacity.take().unwrap_or_default();
        self.charge_all(&used, Direction::Read);
        response.consumed_capacity = report.trim_all(used);
        write(&response)
    }

    /// Returns the error of a cancelled transaction when any of its actions is throttled.
    fn cancel_if_throttled(
        &mut self,
        actions: &[Option<ThrottlingReason>],
    ) -> Result<(), RequestError> {
        if actions.iter().all(Option::is_none) {
            return Ok(());
        }
        self.state.throttled_requests += 1;
        let reason = |reason: &Option<ThrottlingReason>| match reason {
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
        };
        let reasons: Vec<CancellationReason> = actions.iter().map(reason).collect();
        let codes: Vec<&str> = reasons.iter().map(|reason| reason.code.as_str()).collect();
        let message = format!(
            "Transaction cancelled, please refer cancellation reasons for specific reasons [{}]",
            codes.join(", ")
        );
        Err(DynoxideError::TransactionCanceledException(message, reasons).into())
    }
}
