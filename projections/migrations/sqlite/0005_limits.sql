-- feature_usage has what was used of each feature that a customer has grants or usage limits of, between
-- moments at which a grant, or a window of a grant or of a limit, begins or ends.

-- Rows that were folded before do not know of limits: all is folded anew.
DELETE FROM positions;
DELETE FROM customers;
DELETE FROM period_usage;
DELETE FROM budgets;
DELETE FROM timeline;
DELETE FROM commands;
DELETE FROM feature_usage;
UPDATE generation SET number = number + 1;
