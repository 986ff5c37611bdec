"""RunEngine session, catalogue, results as documents, reports, shell."""
