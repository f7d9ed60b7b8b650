// docs.js - begins the documentation page, which src/api/docs.c answers.
"use strict";

SwaggerUIBundle({
  url: "/openapi.json",
  dom_id: "#docs",
  deepLinking: true, // a link to an operation opens it
  docExpansion: "none",
  filter: true,
  tryItOutEnabled: true,
  displayRequestDuration: true,
  defaultModelsExpandDepth: 0,
  validatorUrl: null, // no other host is asked
  persistAuthorization: false, // a token does not outlive the page
});

// Of the fields for credentials each takes the focus; the first one keeps it.
document.addEventListener("click", (event) => {
  if (event.target.closest(".authorize, .authorization__btn"))
    setTimeout(() => document.querySelector(".auth-container input")?.focus());
});
