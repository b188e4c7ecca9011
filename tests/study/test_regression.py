"""Logistic regression on resamples, compared with direct maximization."""

import numpy as np
from scipy.optimize import minimize
from scipy.special import expit
from scipy.stats import bernoulli

from configs.study.analyses.regression import fit, log_likelihood


def simulated(rows=200, examples=50):
    rng = np.random.default_rng(0)
    x = np.column_stack([np.ones(rows), rng.normal(size=(rows, 2))])
    return x, rng.binomial(examples, expit(x @ [-1.0, 1.5, 0.6])), np.full(rows, examples), rng


def test_fit_is_the_maximum_of_the_likelihood():
    x, correct, examples, rng = simulated()
    weights = rng.integers(0, 4, (2, len(x))).astype(float)
    for beta, times in zip(fit(x, correct, examples, weights), weights):
        direct = minimize(
            lambda beta: -np.sum(times * log_likelihood(beta[None], x, correct, examples)),
            np.zeros(3),
            method="BFGS",
            options={"gtol": 1e-7},
        )
        np.testing.assert_allclose(beta, direct.x, atol=1e-5)


def test_log_likelihood_is_that_of_single_examples():
    x, correct, examples, _ = simulated(rows=5, examples=3)
    betas = np.array([[-1.0, 0.3, 2.0], [0.5, 0.0, -1.0]])
    for log_likelihoods, beta in zip(log_likelihood(betas, x, correct, examples), betas):
        for value, row, num_correct, number in zip(log_likelihoods, x, correct, examples):
            outcomes = np.arange(number) < num_correct
            np.testing.assert_allclose(value, bernoulli.logpmf(outcomes, expit(row @ beta)).sum())


def test_separated_resamples_are_nan_and_leave_the_others_as_they_are():
    x, correct = np.stack([np.ones(4), np.arange(4.0)], axis=1), np.array([0, 3, 9, 9])
    weights = np.array([[1.0, 0, 1, 1], [1, 1, 1, 1], [1, 0, 0, 0]])
    separated, regular, single = fit(x, correct, np.full(4, 9), weights)
    assert np.isnan([*separated, *single]).all()
    np.testing.assert_allclose(regular, fit(x, correct, np.full(4, 9), weights[1:2])[0], rtol=1e-12)
