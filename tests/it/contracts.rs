//! One suite for each port, run on the stand-in in memory and on the real server: what the stand-in may do,
//! the server does too.

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
                    ledger::postgres::migrate(&settings).await.unwrap();
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
mod ledger;
mod objects;
mod registry;
mod store;
