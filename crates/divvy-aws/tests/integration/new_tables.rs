//! Tables that are created: where, with which protection, and that none is left where one is refused.

use aws_sdk_dynamodb::types::{ContinuousBackupsStatus, PointInTimeRecoveryStatus};
use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient,
    SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::body::SdkBody;
use divvy_aws::tables::{Layout, MissingTables, Table};
use divvy_aws::{DynamoStore, OpenOptions};
use throttling_dynamodb::{Emulator, Options};

use crate::fixture::{archive, row};

fn emulator() -> Emulator {
    let local = Emulator::open(Options {
        scratch: true,
        ..Options::default()
    });
    local.unwrap()
}

/// Returns options for a service that is not on this machine.
fn remote(client: SharedHttpClient) -> OpenOptions {
    OpenOptions {
        prefix: "t".into(),
        region: Some("us-east-2".into()),
        endpoint: Some("http://dynamodb.us-east-2.amazonaws.com".into()),
        http_client: Some(client),
        ..OpenOptions::default()
    }
}

fn sdk(local: &Emulator) -> aws_sdk_dynamodb::Client {
    aws_sdk_dynamodb::Client::new(&local.sdk_config())
}

async fn tables(local: &Emulator) -> Vec<String> {
    let listed = sdk(local).list_tables().send().await.unwrap();
    listed.table_names.unwrap_or_default()
}

#[tokio::test(start_paused = true)]
async fn tables_in_aws_are_created_on_request_alone() {
    let local = emulator();
    let refused = DynamoStore::open(remote(local.http_client()))
        .await
        .unwrap_err();
    insta::assert_snapshot!(refused, @"t-StationData, t-TripData, t-FromStationCounts, t-LoadLedger are missing in us-east-2 (http://dynamodb.us-east-2.amazonaws.com)");
    let source = refused
        .source
        .as_deref()
        .and_then(|source| source.downcast_ref());
    let missing: &MissingTables = source.unwrap();
    assert_eq!(missing.tables.len(), 4);
    assert_eq!(tables(&local).await, Vec::<String>::new());

    // On this machine they are created in any case, and not protected.
    let here = OpenOptions {
        http_client: Some(local.http_client()),
        ..OpenOptions::default()
    };
    DynamoStore::open(here).await.unwrap();
    assert_eq!(tables(&local).await.len(), 4);
    let created = sdk(&local)
        .describe_table()
        .table_name("TripData")
        .send()
        .await;
    let created = created.unwrap().table.unwrap();
    assert_ne!(created.deletion_protection_enabled, Some(true));
}

#[tokio::test(start_paused = true)]
async fn tables_in_aws_have_tags_protection_and_recovery() {
    let local = emulator();
    let options = OpenOptions {
        create_tables: true,
        system: Some("divvy".into()),
        ..remote(local.http_client())
    };
    let store = DynamoStore::open(options).await.unwrap();
    let client = sdk(&local);
    for table in Table::ALL {
        let name = table.named("t");
        let described = client
            .describe_table()
            .table_name(&name)
            .send()
            .await
            .unwrap();
        let described = described.table.unwrap();
        assert_eq!(described.deletion_protection_enabled, Some(true), "{name}");
        let tags = client.list_tags_of_resource();
        let tags = tags
            .resource_arn(described.table_arn.unwrap())
            .send()
            .await
            .unwrap();
        let mut tags: Vec<String> = (tags.tags.unwrap_or_default().iter())
            .map(|tag| format!("{}={}", tag.key, tag.value))
            .collect();
        tags.sort();
        assert_eq!(tags, ["app=divvy-analyze", "prefix=t", "system=divvy"]);
        let backups = client
            .describe_continuous_backups()
            .table_name(&name)
            .send()
            .await;
        let backups = backups.unwrap().continuous_backups_description.unwrap();
        assert_eq!(
            backups.continuous_backups_status,
            ContinuousBackupsStatus::Enabled
        );
        let recovery = backups.point_in_time_recovery_description.unwrap();
        let status = recovery.point_in_time_recovery_status;
        assert_eq!(status, Some(PointInTimeRecoveryStatus::Enabled), "{name}");
    }
    drop(store);
    // What is there is opened without the request, and one that is missing is named.
    DynamoStore::open(remote(local.http_client()))
        .await
        .unwrap();
    let name = "t-LoadLedger";
    let unprotect = client.update_table().table_name(name);
    unprotect
        .deletion_protection_enabled(false)
        .send()
        .await
        .unwrap();
    client.delete_table().table_name(name).send().await.unwrap();
    let refused = DynamoStore::open(remote(local.http_client()))
        .await
        .unwrap_err();
    insta::assert_snapshot!(refused, @"t-LoadLedger is missing in us-east-2 (http://dynamodb.us-east-2.amazonaws.com)");
}

#[tokio::test(start_paused = true)]
async fn another_layout_is_refused_before_a_table_is_created() {
    let local = emulator();
    let with = |layout| OpenOptions {
        create_tables: true,
        layout: Some(layout),
        ..remote(local.http_client())
    };
    DynamoStore::open(with(Layout::Rows)).await.unwrap();
    let client = sdk(&local);
    let name = "t-FromStationCounts";
    let unprotect = client.update_table().table_name(name);
    unprotect
        .deletion_protection_enabled(false)
        .send()
        .await
        .unwrap();
    client.delete_table().table_name(name).send().await.unwrap();
    let refused = DynamoStore::open(with(Layout::Packed)).await.unwrap_err();
    assert!(
        refused.message.contains("has the layout rows, not packed"),
        "{refused}"
    );
    assert_eq!(tables(&local).await.len(), 3);
}

/// Refuses requests of an operation with a text in their body, as the service does without permission.
#[derive(Clone, Debug)]
struct Refusing<T> {
    inner: T,
    operation: &'static str,
    text: &'static str,
}

impl HttpClient for Refusing<SharedHttpClient> {
    fn http_connector(
        &self,
        settings: &HttpConnectorSettings,
        components: &RuntimeComponents,
    ) -> SharedHttpConnector {
        SharedHttpConnector::new(Refusing {
            inner: self.inner.http_connector(settings, components),
            operation: self.operation,
            text: self.text,
        })
    }
}

impl HttpConnector for Refusing<SharedHttpConnector> {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let target = request.headers().get("x-amz-target").unwrap_or_default();
        let body = String::from_utf8_lossy(request.body().bytes().unwrap_or_default());
        if target.ends_with(self.operation) && body.contains(self.text) {
            let action = self.operation.trim_start_matches('.');
            let body = serde_json::json!({
                "__type": "com.amazonaws.dynamodb.v20120810#AccessDeniedException",
                "Message": format!("User: ann is not authorized to perform: dynamodb:{action} on resource: \
                                    arn:aws:dynamodb:us-east-2:123456789012:table/x because no policy allows it"),
            });
            let body = SdkBody::from(body.to_string());
            let response = HttpResponse::new(400.try_into().unwrap(), body);
            return HttpConnectorFuture::ready(Ok(response));
        }
        self.inner.call(request)
    }
}

#[tokio::test(start_paused = true)]
async fn where_a_table_is_refused_none_is_left() {
    let refusals = [
        (".CreateTable", "t-FromStationCounts"),
        (".UpdateContinuousBackups", "t-LoadLedger"),
    ];
    let mut messages = Vec::new();
    for (operation, text) in refusals {
        let local = emulator();
        let refusing = Refusing {
            inner: local.http_client(),
            operation,
            text,
        };
        let options = OpenOptions {
            create_tables: true,
            ..remote(SharedHttpClient::new(refusing))
        };
        let refused = DynamoStore::open(options).await.unwrap_err();
        messages.push(refused.to_string());
        assert_eq!(tables(&local).await, Vec::<String>::new(), "{operation}");
    }
    insta::assert_snapshot!(messages.join("\n"), @r"
    create t-FromStationCounts: these credentials may not call dynamodb:CreateTable on arn:aws:dynamodb:us-east-2:123456789012:table/x: grant it, or use others; no table was created
    enable point-in-time recovery of t-LoadLedger: these credentials may not call dynamodb:UpdateContinuousBackups on arn:aws:dynamodb:us-east-2:123456789012:table/x: grant it, or use others; no table was created
    ");
}

#[tokio::test(start_paused = true)]
async fn a_ledger_that_is_gone_is_not_made_again_beside_trips() {
    let local = crate::fixture::emulator();
    let layout = Layout::Rows;
    let store = crate::fixture::open(&local, layout).await;
    let first = archive("a.zip", (0..30).map(|n| row(n, 1000)));
    crate::fixture::load(&store, &first).await;
    let client = sdk(&local);
    let delete = client.delete_table().table_name("LoadLedger");
    delete.send().await.unwrap();
    let refused = DynamoStore::open(crate::fixture::options(&local, layout)).await;
    insta::assert_snapshot!(refused.unwrap_err(), @"LoadLedger is missing, and TripData has items that mean nothing without it: restore it from a backup; or delete the other tables, too, and load again; or name another prefix");
}

#[tokio::test(start_paused = true)]
async fn tables_that_nothing_was_stored_in_are_deleted_on_this_machine() {
    let local = emulator();
    let here = crate::fixture::options(&local, Layout::Rows);
    let store = DynamoStore::open(here.clone()).await.unwrap();
    assert_eq!(tables(&local).await.len(), 4);
    assert!(store.delete_unused_tables().await.unwrap());
    assert_eq!(tables(&local).await, Vec::<String>::new());

    let store = DynamoStore::open(here.clone()).await.unwrap();
    let first = archive("a.zip", (0..3).map(|n| row(n, 1000)));
    crate::fixture::load(&store, &first).await;
    assert!(!store.delete_unused_tables().await.unwrap());
    // Nor are those that were there before.
    let store = DynamoStore::open(here).await.unwrap();
    assert!(!store.delete_unused_tables().await.unwrap());
    assert_eq!(tables(&local).await.len(), 4);

    let in_aws = OpenOptions {
        create_tables: true,
        ..remote(local.http_client())
    };
    let store = DynamoStore::open(in_aws).await.unwrap();
    assert!(!store.delete_unused_tables().await.unwrap());
    assert_eq!(tables(&local).await.len(), 8);
}

#[tokio::test(start_paused = true)]
async fn recovery_that_a_killed_creation_has_not_enabled_is_enabled_on_request() {
    let local = emulator();
    let options = OpenOptions {
        create_tables: true,
        ..remote(local.http_client())
    };
    DynamoStore::open(options.clone()).await.unwrap();
    let client = sdk(&local);
    let recovery = async |name: &str| {
        let backups = client.describe_continuous_backups().table_name(name);
        let backups = backups.send().await.unwrap().continuous_backups_description;
        let recovery = backups.unwrap().point_in_time_recovery_description;
        recovery.unwrap().point_in_time_recovery_status.unwrap()
    };
    let off = aws_sdk_dynamodb::types::PointInTimeRecoverySpecification::builder()
        .point_in_time_recovery_enabled(false)
        .build()
        .unwrap();
    let disable = client.update_continuous_backups().table_name("t-TripData");
    let disable = disable.point_in_time_recovery_specification(off);
    disable.send().await.unwrap();
    DynamoStore::open(remote(local.http_client()))
        .await
        .unwrap();
    assert_eq!(
        recovery("t-TripData").await,
        PointInTimeRecoveryStatus::Disabled
    );
    DynamoStore::open(options).await.unwrap();
    assert_eq!(
        recovery("t-TripData").await,
        PointInTimeRecoveryStatus::Enabled
    );
}
