// What an application in Java does, with PostgreSQL's JDBC driver: through the poolers of every node, and past them.
// usage: java Jdbc.java ADDRESS,ADDRESS... CA PASSWORD-FILE COMMAND...     COMMAND hands the leadership over.

import java.nio.file.Files;
import java.nio.file.Path;
import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.PreparedStatement;
import java.sql.SQLException;
import java.util.Arrays;
import java.util.Properties;
import java.util.stream.Collectors;
import org.postgresql.PGConnection;

class Jdbc {
    static String[] addresses;
    static Properties login = new Properties();

    static Connection connect(int port) throws SQLException {
        String hosts = Arrays.stream(addresses).map(address -> address + ":" + port).collect(Collectors.joining(","));
        return DriverManager.getConnection("jdbc:postgresql://" + hosts + "/app", login);
    }

    static void check(boolean kept, String promise) {
        if (!kept) throw new AssertionError(promise);
    }

    static long count(Connection client) throws SQLException {
        try (var rows = client.createStatement().executeQuery("select count(*) from written")) {
            rows.next();
            return rows.getLong(1);
        }
    }

    static void insert(Connection client, int from, int to) throws SQLException {
        try (PreparedStatement insert = client.prepareStatement("insert into written values (?, ?)")) {
            for (int number = from; number < to; number++) {
                insert.setInt(1, number);
                insert.setString(2, "text");
                insert.addBatch();
            }
            insert.executeBatch();
        }
    }

    static void batchesAndTransactions() throws SQLException {
        try (Connection client = connect(5000)) {
            client.createStatement().execute("create table written (number int, text text)");
            client.setAutoCommit(false);
            insert(client, 0, 1000);
            client.commit();
            insert(client, 1000, 1010);
            client.rollback();
            check(count(client) == 1000, "a rollback undoes what was not committed, and nothing else");
        }
    }

    static void aTimeoutCancels(int port) throws SQLException {
        try (Connection client = connect(port); var query = client.createStatement()) {
            query.setQueryTimeout(1);
            long began = System.nanoTime();
            try {
                query.execute("select pg_sleep(20)");
                check(false, "port " + port + ": the query was not cancelled");
            } catch (SQLException cancelled) {
                check("57014".equals(cancelled.getSQLState()), "port " + port + ": " + cancelled.getMessage());
            }
            check(System.nanoTime() - began < 10_000_000_000L, "port " + port + ": the request to cancel got lost");
        }
    }

    static void writersAreHeldOverASwitchover(String[] switchover) throws Exception {
        Process handsOver;
        int inserted = 0;
        long longest = 0;
        try (Connection client = connect(5000); var insert = client.prepareStatement("insert into written values (?, ?)")) {
            handsOver = new ProcessBuilder(switchover).redirectErrorStream(true).redirectOutput(ProcessBuilder.Redirect.DISCARD).start();
            while (handsOver.isAlive() || inserted < 100) {
                long began = System.nanoTime();
                insert.setInt(1, inserted++);
                insert.setString(2, "held");
                insert.execute();
                longest = Math.max(longest, System.nanoTime() - began);
            }
            check(handsOver.waitFor() == 0, "the leadership was not handed over");
            check(count(client) == 1000 + inserted, "a row is missing");
        }
        System.out.printf("  JDBC: %d inserts over a switchover in one session, the longest took %d ms%n", inserted, longest / 1_000_000);
    }

    static void pastThePoolersWhoListensHears() throws Exception {
        try (Connection listener = connect(5010); Connection client = connect(5000)) {
            listener.createStatement().execute("listen news");
            client.createStatement().execute("notify news, 'heard'");
            var heard = listener.unwrap(PGConnection.class).getNotifications(5000);
            check(heard.length == 1 && "heard".equals(heard[0].getParameter()), "who listens hears nothing");
        }
    }

    public static void main(String[] arguments) throws Exception {
        addresses = arguments[0].split(",");
        login.setProperty("user", "app");
        login.setProperty("password", Files.readString(Path.of(arguments[2])).strip());
        login.setProperty("sslmode", "verify-full");
        login.setProperty("sslrootcert", arguments[1]);
        login.setProperty("targetServerType", "primary");
        login.setProperty("loadBalanceHosts", "true");
        login.setProperty("prepareThreshold", "1");
        login.setProperty("connectTimeout", "5");
        batchesAndTransactions();
        aTimeoutCancels(5000);
        aTimeoutCancels(5010);
        writersAreHeldOverASwitchover(Arrays.copyOfRange(arguments, 3, arguments.length));
        pastThePoolersWhoListensHears();
    }
}
