//! Asking the database.

/// Asks over a connection of the pool, which is given back with the answer.
macro_rules! ask {
    ($database:expr, $connection:ident => $work:expr) => {{
        let database: &database::Database = $database;
        let mut $connection = database.connection().await?;
        let answer = database.in_time($work).await;
        database.conclude($connection, answer).await
    }};
}

pub(crate) use ask;
