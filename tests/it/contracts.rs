//! One suite for each port, run on the implementation in memory and on the real server: both keep the same promises.

/// Each test on a `Memory` and on a `Postgres` in a schema of its own.
macro_rules! on_memory_and_postgres {
    ($($test:ident)*) => {
        mod on_memory {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $test() {
                super::$test(std::sync::Arc::new(super::Memory::new())).await;
            })*
        }
        mod on_postgres {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $test() {
                crate::support::servers::in_own_schema(|settings| async move {
                    database::migrate(&settings).await.unwrap();
                    let database = database::Database::connect(&settings).await.unwrap();
                    super::$test(std::sync::Arc::new(super::Postgres::on(&database))).await;
                })
                .await;
            })*
        }
    };
}

mod broker;
mod labels;
mod leases;
mod ledger;
mod objects;
mod registry;
mod store;
mod training_runs;
mod workers;
