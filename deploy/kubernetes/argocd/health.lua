-- Health of every kind of vdvs.io for Argo CD, by the conditions in its status.
-- The object in `obj` may be new (no status yet), and its status may be of an earlier generation.

local function health(status, message)
  return {status = status, message = message}
end

local status = obj.status or {}
if status.observedGeneration ~= obj.metadata.generation then
  return health("Progressing", "waiting for the operator to look at it")
end

local conditions = {}
for _, condition in ipairs(status.conditions or {}) do
  conditions[condition.type] = condition
end

local ready = conditions.Ready
if ready == nil then
  return health("Progressing", "waiting for the operator to look at it")
end
if ready.reason == "Paused" or ready.reason == "AwaitingApproval" then
  return health("Suspended", ready.message)
end
if conditions.Stalled ~= nil and conditions.Stalled.status == "True" then
  return health("Degraded", conditions.Stalled.message)
end
if conditions.Reconciling ~= nil and conditions.Reconciling.status == "True" then
  return health("Progressing", conditions.Reconciling.message)
end
if ready.status == "True" then
  return health("Healthy", ready.message)
end
if ready.status == "Unknown" then
  return health("Progressing", ready.message)
end
return health("Degraded", ready.message)
